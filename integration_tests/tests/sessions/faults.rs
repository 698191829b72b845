//! What code does that means no good, machines that mislead, and builds out of all proportion: each
//! costs what it must, and nothing else.

use std::fmt::Write;
use std::fs::{self, FileTimes};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rbz_integration_tests::projects::{build_file, one_file};
use rbz_integration_tests::system::is_root;
use rbz_integration_tests::workspace::workspace;

/// What a file does while it compiles, and whether it can be compiled all the same.
const MISCHIEF: [(&str, &str, bool); 9] = [
    (
        "fork",
        "(when (zerop (alien-funcall (extern-alien \"fork\" (function int)))) (sleep 99))",
        true,
    ),
    ("threads", "(dotimes (i 3) (sb-thread:make-thread (lambda () (sleep 99))))", true),
    ("protocol", "(format t \"ready~%forked~%started~%\") (format *error-output* \"ready\")", true),
    // Where a stem has its socket.
    (
        "socket",
        "(dotimes (fd 20) (when (> fd 2) (sb-unix:unix-write fd (coerce '(102 111 114 107 101 100) '(vector (unsigned-byte 8))) 0 6)))",
        true,
    ),
    (
        "directory",
        "(alien-funcall (extern-alien \"chdir\" (function int c-string)) \"/tmp\")",
        true,
    ),
    ("input", "(delete-file \"base.lisp\") (delete-file \"input.lisp\")", false),
    ("exit", "(sb-ext:exit :code 0 :abort t)", false),
    ("signal", "(alien-funcall (extern-alien \"kill\" (function int int int)) 0 9)", false),
    (
        "memory",
        "(let ((all (alien-funcall (extern-alien \"malloc\" (function unsigned-long unsigned-long)) 1500000000)))\n    (loop for at from 0 below 1500000000 by 4096 do (setf (sb-sys:sap-ref-8 (sb-sys:int-sap all) at) 1))\n    (sleep 99))",
        false,
    ),
];

#[test]
fn a_file_that_means_no_good_costs_itself_and_nothing_else() {
    let mut build = "lisp_library(name = \"base\", srcs = [\"base.lisp\"])\n".to_owned();
    let mut names = vec!["last"];
    names.extend(MISCHIEF.map(|(name, ..)| name));
    for name in &names {
        writeln!(
            build,
            "lisp_library(name = {name:?}, srcs = [\"{name}.lisp\"], deps = [\":base\"])"
        )
        .expect("a string takes all");
    }
    let mut builder = build_file(&build).own_cache();
    let base = "(defmacro same (form) form)\n";
    builder = builder.file("base.lisp", base).file("last.lisp", "(same (defun f () 1))\n");
    for (name, what, _) in MISCHIEF {
        let text = format!(
            "(eval-when (:compile-toplevel)\n  (use-package \"SB-ALIEN\")\n  {what})\n(same (defun f () 1))\n"
        );
        builder = builder.file(&format!("{name}.lisp"), &text);
    }
    let ws = builder.build();
    let other = ws.clone_to("alone", true);
    let limit = "--local_ram_resources=1000";
    for (ws, flags) in [(&ws, "-j2"), (&other, "-j2 --strategy=sandboxed")] {
        let command = format!("build -k //... --verbose_failures {limit} {flags}");
        let outcome = ws.rbz(&command).exit_code(1).run();
        for (name, _, builds) in MISCHIEF {
            let failed = outcome.stderr().contains(&format!("ERROR: //:{name}: "));
            assert_eq!(failed, !builds, "{name}: {outcome}");
        }
        outcome.stderr_has("it took more than 1000 MB of memory");
        assert!(ws.path("rbz-bin/last.fasl").exists(), "{outcome}");
    }
    assert_eq!(ws.read("base.lisp"), base, "sources are not deleted");
    ws.assert_same_outputs(&other, &[".fasl"], "alone");
}

#[test]
fn times_of_files_may_say_anything() {
    let ws = one_file("(defun f () 1)\n").own_cache().build();
    let path = ws.path("lib.lisp");
    let set = |time: SystemTime| {
        let file = fs::File::options().append(true).open(&path).expect("the source");
        file.set_times(FileTimes::new().set_modified(time)).expect("the time can be set");
    };
    let compiled = || ws.rbz("build //:lib").run().ran_of("LispCompile").len();
    let now = SystemTime::now();
    let year = Duration::from_secs(366 * 24 * 3600);
    // The clock was ahead by a year, then right, then behind, and stands.
    for (number, time) in
        [now + year, now, now - 30 * year, now - 30 * year].into_iter().enumerate()
    {
        ws.write("lib.lisp", &format!("(defun f () {})\n", 2 + number));
        set(time);
        assert_eq!(compiled(), 1, "another text of the same length, {number}");
        assert_eq!(compiled(), 0);
    }
    set(now + year);
    assert_eq!(compiled(), 0, "another time of the same text");
}

/// Runs `script` with `rbz` and the directory of a workspace, in which something can be mounted
/// that nobody else sees. What it prints.
fn with_mounts(directory: &Path, home: &Path, script: &str) -> String {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-ec", script, "sh"]).arg(rbz_integration_tests::binary::rbz());
    command.env("HOME", home).current_dir(directory);
    let output = command.output().expect("there is `unshare`");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn sources_may_lie_on_another_file_system() {
    let ws = workspace().file("pkg/BUILD", "").build();
    let said = with_mounts(
        ws.root(),
        ws.home(),
        r#"
mount -t tmpfs none pkg
cat > pkg/BUILD <<'END'
lisp_library(name = "lib", srcs = ["a.lisp", "b.lisp"])
genrule(name = "copy", srcs = ["a.lisp"], outs = ["copy.txt"], cmd = "cp $< $@")
END
echo '(defmacro one () 1)' > pkg/a.lisp
echo '(defun f () (one))' > pkg/b.lisp
"$1" build //...
echo '(defmacro one () 2)' > pkg/a.lisp
"$1" build //...
cmp pkg/a.lisp rbz-bin/pkg/copy.txt
"$1" build //...
"#,
    );
    assert_eq!(said.matches("Build completed successfully").count(), 3, "{said}");
    assert!(said.contains("INFO: 0 processes") || said.contains("up to date"), "{said}");
}

#[test]
fn a_change_within_a_second_is_seen_where_times_have_no_parts_of_seconds() {
    if !is_root() {
        println!("skipped: only root can mount a file system whose times are whole seconds");
        return;
    }
    let ws = workspace().file("pkg/BUILD", "").build();
    let image = ws.base().join("image");
    fs::File::create(&image).and_then(|file| file.set_len(16 << 20)).expect("there is room");
    let made = Command::new("mkfs.ext2").args(["-q", "-I", "128"]).arg(&image).output();
    if !made.is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no `mkfs.ext2`");
        return;
    }
    let image = image.display();
    let script = format!(
        r#"
mount -o loop '{image}' pkg || {{ echo NO-LOOP; exit 0; }}
echo 'genrule(name = "copy", srcs = ["a.txt"], outs = ["copy.txt"], cmd = "cp $< $@")' > pkg/BUILD
for round in 1 2 3 4 5 6 7 8
do
  echo "text $round" > pkg/a.txt
  "$1" build //pkg:copy
  cmp pkg/a.txt rbz-bin/pkg/copy.txt
done
stat --format=%y pkg/a.txt
"#
    );
    let said = with_mounts(ws.root(), ws.home(), &script);
    if said.contains("NO-LOOP") {
        println!("skipped: no file system can be mounted from a file here");
        return;
    }
    assert!(said.contains(".000000000 "), "times are whole seconds: {said}");
}

#[test]
fn five_thousand_files_in_a_target_and_five_thousand_targets_in_a_row() {
    let mut builder = build_file(
        r#"
load("rules.bzl", "chain")
FILES = ["src/f%d.lisp" % number for number in range(5000)]
lisp_library(name = "library", srcs = FILES)
genrule(name = "lines", srcs = FILES, outs = ["all.txt"], cmd = "cat $(SRCS) | wc -l > $@")
chain(name = "n0", src = "src/f0.lisp")
[chain(name = "n%d" % number, src = "n%d" % (number - 1)) for number in range(1, 5000)]
"#,
    )
    .file(
        "rules.bzl",
        r#"
def _chain(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.expand_template(template = ctx.file.src, output = out, substitutions = {"(": "[("})
    return [DefaultInfo(files = depset([out]))]

chain = rule(implementation = _chain, attrs = {"src": attr.label(allow_single_file = True)})
"#,
    );
    for number in 0..5000 {
        builder = builder.file(&format!("src/f{number}.lisp"), "(defun f ())\n");
    }
    let ws = builder.own_cache().build();
    let started = std::time::Instant::now();
    // No file of the library is compiled, but all of its actions are made.
    ws.rbz("build --nobuild //:library").run();
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    ws.rbz("build //:lines //:n4999").run();
    assert_eq!(ws.read("rbz-bin/all.txt").trim(), "5000");
    let last = ws.read("rbz-bin/n4999.txt");
    assert_eq!(last.matches('[').count(), 2 * 5000, "each link of the chain adds to both");
    ws.write("src/f0.lisp", "(defun f (x) x)\n");
    ws.rbz("build //:lines //:n4999").run();
    assert!(ws.read("rbz-bin/n4999.txt").ends_with("(x) x)\n"), "it went all the way");
}
