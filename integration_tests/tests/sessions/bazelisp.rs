//! Workspaces written for bazelisp: their files load and build as they are.

use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::system::output_of;
use rbz_integration_tests::workspace;

/// Everything that BUILD files for bazelisp have and others seldom do, in a workspace of its name.
const BUILD: &str = r#"
load(
    "//:rules.bzl",
    "lisp_binary",
    "lisp_library",
    "lisp_test",
)
load("@bazelisp//:provider.bzl", "LispInfo", "collect_lisp_info", "extend_lisp_info")

package(default_applicable_licenses = ["//:license"])

licenses(["notice"])

lisp_library(
    name = "lib",
    srcs = ["a.lisp", "b.lsp"],
    compile_data = ["foo.data"],
    data = ["foo.data"],
    order = None,
    deps = [],
)

lisp_library(
    name = "mainlib",
    srcs = ["main.lisp"],
    nowarn = ["deprecation", "optional-and-key", "implicit-generic"],
)

lisp_binary(name = "program", deps = [":lib", ":mainlib"], main = None)
sh_test(name = "run-program", srcs = ["program"])
sh_test(name = "check", srcs = ["check.sh"], data = ["program"], tags = ["nozapfhahn"])
lisp_test(name = "minimal", main = "values")
lisp_test(name = "minimal-allow-save-lisp", allow_save_lisp = True, main = "values")

lisp_binary(
    name = "image",
    allow_save_lisp = True,
    main = None,
    deps = [
        # Sequential
        ":lib",
        ":mainlib",
    ],
)

lisp_test(name = "on-image", size = "small", srcs = ["empty.lisp"], image = ":image")
lisp_test(name = "standard-image", srcs = ["main.lisp"], image = "//:image")
lisp_test(name = "circular", srcs = ["c1.lisp", "c2.lisp"], order = "multipass", main = "c1")
lisp_test(name = "data-test", main = "cl-user::data-test", deps = [":lib"])
lisp_library(name = "features", add_features = ["features"])
lisp_test(
    name = "features-test",
    srcs = ["features-test.lisp"],
    add_features = ["features-test"],
    deps = [":features"],
)
lisp_test(name = "args-test", srcs = ["args-test.lisp"], args = ["--foo"])
lisp_test(name = "eval-main", srcs = ["eval.lisp"], main = "(if nil (break) (foo :x 1 :y 2))")
lisp_binary(name = "options", srcs = ["empty.lisp"], main = "values", save_runtime_options = False)
lisp_library(
    name = "stack-alloc",
    srcs = ["stack.lisp"],
    nowarn = ["stack-allocate-note"],
    instrument_coverage = 0,
    verbose = 0,
)
"#;

#[test]
fn build_files_for_bazelisp_load_and_build_as_they_are() {
    let ws = workspace()
        .file("WORKSPACE", "workspace(name = \"bazelisp\")\n\nload(\"//:repositories.bzl\", \"bazelisp_repositories\")\n\nbazelisp_repositories()\n\nload(\"//:setup.bzl\", \"bazelisp_setup\")\n\nbazelisp_setup()\n")
        .file("BUILD", "load(\":rules.bzl\", \"lisp_binary\")\n\npackage(default_applicable_licenses = [\"//:license\"])\n\nlicenses([\"notice\"])\n\nlisp_binary(name = \"image\", allow_save_lisp = True, main = \"bazel.main:main\", visibility = [\"//visibility:public\"])\n")
        .file("rules.bzl", "fail(\"the rules that rbz brings stand for these\")\n")
        .file("test/BUILD", BUILD)
        .file("test/a.lisp", "(defun lib () 1)\n")
        .file("test/b.lsp", "(defun data-test ()\n  (with-open-file (in \"test/foo.data\") (assert (string= \"data\" (read-line in)))))\n(defparameter *data* #.(with-open-file (in \"test/foo.data\") (read-line in)))\n")
        .file("test/foo.data", "data\n")
        .file("test/main.lisp", "(defun main () (write-line \"main\"))\n")
        .file("test/check.sh", "#!/bin/bash\n[[ \"$(./test/program)\" == main ]]\n")
        .file("test/empty.lisp", "")
        .file("test/c1.lisp", "(defmacro m1 () 1)\n(defun c1 () (m2))\n")
        .file("test/c2.lisp", "(defmacro m2 () 2)\n(defun c2 () (m1))\n")
        .file("test/features-test.lisp", "#-(and features features-test bazel) (error \"a feature is missing\")\n(defun main () (assert (and (find :features *features*) (find :features-test *features*))))\n")
        .file("test/args-test.lisp", "(defun main ()\n  (assert (equal (bazel.sbcl:command-line-arguments) '(\"--foo\"))))\n")
        .file("test/eval.lisp", "(defun foo (&key x y) (assert (= 3 (+ x y))))\n")
        .file("test/stack.lisp", "(defun f (n) (let ((y (make-array n))) (declare (dynamic-extent y)) (aref y 0)))\n")
        .build();
    ws.rbz("test //... --test_output=errors").run();
}

/// A rule of somebody else, made of the public functions.
const RULE: &str = r#"
load("@bazelisp//:provider.bzl", "LispInfo", "collect_lisp_info", "extend_lisp_info", "print_provider")
load("@bazelisp//:rules.bzl", "lisp_compile_srcs")

def _template_impl(ctx):
    source = ctx.actions.declare_file(ctx.label.name + ".lisp")
    ctx.actions.write(source, "(defun %s () %r)\n(defun unused-here () (later))\n" % (ctx.attr.function, 42))
    compiled = lisp_compile_srcs(
        ctx,
        srcs = [source],
        deps = ctx.attr.deps,
        image = ctx.attr.image,
        add_features = ["templates"],
        nowarn = [],
        order = "serial",
        compile_data = [],
        block_compile = False,
        block_compile_specified_only = False,
        verbose_level = 0,
        instrument_coverage = -1,
        indexer_metadata = [],
    )
    print_provider(compiled.lisp_info)
    return [
        DefaultInfo(files = depset([compiled.output_fasl])),
        compiled.lisp_info,
    ]

template = rule(
    implementation = _template_impl,
    attrs = {
        "deps": attr.label_list(providers = [LispInfo]),
        "function": attr.string(),
        "image": attr.label(default = "@bazelisp//:image", executable = True, cfg = "target"),
    },
)

def _union_impl(ctx):
    info = collect_lisp_info(
        deps = ctx.attr.deps,
        cdeps = [],
        build_image = None,
        features = ["union"],
        compile_data = [],
    )
    return [DefaultInfo(), extend_lisp_info(info, srcs = [], fasls = [], hashes = [], warnings = [])]

union = rule(
    implementation = _union_impl,
    attrs = {"deps": attr.label_list(providers = [LispInfo])},
)
"#;

#[test]
fn rules_of_others_are_built_on_the_public_functions() {
    let ws = build_file(
        r#"
load(":template.bzl", "template", "union")

template(name = "generated", function = "answer")
union(name = "all", deps = [":generated"])
lisp_binary(name = "p", srcs = ["p.lisp"], deps = [":all"])
"#,
    )
    .file("template.bzl", RULE)
    .file("p.lisp", "(defun later () 1)\n(defun main ()\n  (print (list (answer) #+templates :templates #+union :union)))\n")
    .build();
    let outcome = ws.rbz("run //:p").run();
    assert_eq!(outcome.stdout().trim(), "(42 :TEMPLATES :UNION)");
    outcome.stderr_has("fasls: [\"generated.fasl\"]").stderr_has("features: [\"templates\"]");
    // What a rule of others left undefined is found as well.
    ws.edit("p.lisp", "(defun later () 1)\n", "");
    ws.rbz("build //:p")
        .exit_code(1)
        .run()
        .stderr_has("undefined function: common-lisp-user::later");
}

#[test]
fn the_parts_of_the_lisp_have_labels() {
    let ws = build_file(
        r#"
filegroup(name = "parts", srcs = ["@local_sbcl//:sbcl", "@local_sbcl//:core", "@local_sbcl//:contrib/sb-posix"])
genrule(
    name = "script",
    outs = ["version.txt"],
    cmd = "$(location @local_sbcl//:sbcl) --core $(location @local_sbcl//:core) --noinform --no-sysinit --no-userinit --non-interactive --eval '(write-line (lisp-implementation-version))' > $@",
    tools = ["@local_sbcl//:sbcl", "@local_sbcl//:core", "@local_sbcl//:libraries"],
)
genrule(
    name = "object",
    srcs = ["@local_sbcl//:core"],
    outs = ["split.o", "copied.o", "symbols"],
    cmd = "e=$(location @bazelisp//:elfinate); $$e split $(SRCS) $(location split.o) && $$e copy $(SRCS) $(location copied.o) $(location symbols)",
    tools = ["@bazelisp//:elfinate"],
)
filegroup(name = "runtime", srcs = ["@local_sbcl//:c-support"])
lisp_library(name = "l", srcs = select({"@bazelisp//:msan": ["msan.lisp"], "//conditions:default": []}))
"#,
    )
    .file("msan.lisp", "#-msan (error \"no feature\")\n(defun f () 1)\n")
    .build();
    ws.rbz("build //...").run();
    assert!(ws.read("rbz-bin/version.txt").starts_with(|char: char| char.is_ascii_digit()));
    assert!(ws.read("rbz-bin/symbols").starts_with("{\n"));
    let names = output_of(ws.root(), "nm", &["rbz-bin/split.o"]);
    assert!(names.contains(" t car\n"), "{names}");
    assert!(!ws.path("rbz-bin/l.fasl").exists());
    ws.rbz("build //:l --define=LISP_MSAN=1").run();
    assert!(ws.path("rbz-bin/l.fasl").exists());
}
