//! Lisp programs that run the actions of other targets.

use rbz_integration_tests::projects::build_file;

#[test]
fn what_an_image_holds_is_neither_loaded_nor_put_in_again_but_belongs_to_its_users() {
    let ws = build_file(
        r#"
lisp_library(name = "counter", srcs = ["counter.lisp"])
lisp_binary(
    name = "image",
    srcs = ["own.lisp"],
    add_features = ["in-image"],
    allow_save_lisp = True,
    compile_data = ["words.txt"],
    data = ["at-run-time.txt"],
    main = "nil",
    deps = [":counter"],
)
lisp_library(name = "lib", srcs = ["lib.lisp"], image = ":image")
lisp_binary(name = "p", srcs = ["p.lisp"], image = ":image", deps = [":counter", ":lib"])
lisp_test(name = "t", srcs = ["t.lisp"], deps = [":lib"])
"#,
    )
    .file("counter.lisp", "(defvar *loads* 0)\n(incf *loads*)\n")
    .file("own.lisp", "(defun own () :own)\n")
    .file("words.txt", "a word\n")
    .file("at-run-time.txt", "data\n")
    .file("lib.lisp", "(defun lib () (list (own) #.*loads* #+in-image :feature #.(with-open-file (in \"words.txt\") (read-line in))))\n")
    .file("p.lisp", "(defun main () (format t \"~s~%\" (list (lib) *loads* (and (find :in-image *features*) t))))\n")
    // A target of the usual image needs what the image of its dependency held.
    .file("t.lisp", "#-in-image (error \"the feature belongs to the users of lib\")\n(defun main ()\n  (assert (equal (lib) '(:own 1 :feature \"a word\")))\n  (assert (= *loads* 1))\n  (with-open-file (in \"at-run-time.txt\") (assert (string= (read-line in) \"data\"))))\n")
    .build();
    let outcome = ws.rbz("run //:p").run();
    assert_eq!(outcome.stdout(), "((:OWN 1 :FEATURE \"a word\") 1 T)\n");
    ws.rbz("test //:t --test_output=errors").run();

    // What is in an image is not read by those who use it, save through the image.
    ws.write("own.lisp", "(defun own () :other)\n");
    assert_eq!(ws.rbz("run //:p").run().stdout(), "((:OTHER 1 :FEATURE \"a word\") 1 T)\n");
}

#[test]
fn a_program_that_allows_it_saves_itself_again() {
    let ws = build_file("lisp_binary(name = \"p\", srcs = [\"p.lisp\"], allow_save_lisp = True)\n")
        .file("p.lisp", "(defvar *generation* 1)\n(defun main ()\n  (format t \"~d~%\" *generation*)\n  (finish-output)\n  (incf *generation*)\n  (when (third sb-ext:*posix-argv*) (sb-ext:exit))\n  (sb-ext:save-lisp-and-die (second sb-ext:*posix-argv*) :executable t :toplevel (lambda () (main) (sb-ext:exit))))\n")
        .build();
    ws.rbz("build //:p").run();
    let saved = ws.base().join("saved");
    let run = |program: &std::path::Path, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output();
        String::from_utf8_lossy(&output.expect("it starts").stdout).into_owned()
    };
    assert!(run(&ws.path("rbz-bin/p"), &[&saved.to_string_lossy()]).starts_with("1\n"));
    assert!(saved.exists());
    assert!(run(&saved, &["none", "stop"]).starts_with("2\n"));
}

#[test]
fn what_is_remembered_of_code_when_an_image_is_saved_is_what_is_in_the_code() {
    let ws = build_file(
        "lisp_binary(name = \"p\", srcs = [\"p.lisp\"], helper_script = \"helper.lisp\")\n",
    )
    .file("p.lisp", "(defun main () (print (mapcar #'1+ (list 1 2))))\n")
    .file(
        "helper.lisp",
        r#"(defun save-and-exit (path &key toplevel executable &allow-other-keys)
  (assert (plusp (hash-table-count rbz.relative-operands::*ranges*)))
  ;; A call within the code leads out of it as soon as its name means something else.
  (let ((names '()))
    (sb-vm:map-allocated-objects
     (lambda (code type size)
       (declare (ignore size))
       (when (= type sb-vm:code-header-widetag)
         (loop for i from sb-vm:code-constants-offset below (sb-kernel:code-header-words code)
               for fdefn = (sb-kernel:code-header-ref code i)
               for function = (and (sb-kernel:fdefn-p fdefn) (sb-kernel:fdefn-fun fdefn))
               when (and (sb-kernel:simple-fun-p function)
                         (eq (sb-kernel:fun-code-header function) code))
                 do (push (sb-kernel:fdefn-name fdefn) names))))
     :immobile)
    (assert names)
    (dolist (name names)
      (sb-int:encapsulate name 'test (lambda (function &rest arguments) (apply function arguments)))))
  (let ((remembered (multiple-value-list (sb-vm::collect-immobile-code-relocs)))
        (found (multiple-value-list (sb-vm::collect-immobile-code-relocs))))
    (assert (zerop (hash-table-count rbz.relative-operands::*ranges*)))
    (assert (> (length (second found)) 10000))
    (assert (equalp remembered found)))
  (sb-ext:save-lisp-and-die path :toplevel toplevel :executable executable))
"#,
    )
    .build();
    assert_eq!(ws.rbz("run //:p").run().stdout(), "\n(2 3) ");
}

#[test]
fn methods_of_users_join_the_actions_that_their_image_runs() {
    let ws = build_file(
        r#"
lisp_binary(name = "image", srcs = ["image.lisp"], allow_save_lisp = True, main = "nil")
lisp_library(name = "lib", srcs = ["lib.lisp"], image = ":image", compile_data = ["x.lisp"])
lisp_binary(name = "p", srcs = ["p.lisp"], image = ":image", deps = [":lib"])
"#,
    )
    .file(
        "image.lisp",
        r#"(defmethod bazel.main:init-action :before ((action bazel.main:action) command)
  (format t "init ~(~a~)~%" command))
(defmethod bazel.main:process-file :before ((action bazel.main:action) (file string) type)
  (format t "process ~a ~(~a~) ~a~%" file type
          (if (bazel.main:action-processing-sources-p action) "source" "dependency")))
(defmethod bazel.main:finish-action :after ((action bazel.main:action) (command (eql :compile)))
  (format t "compiled ~{~a~} ~(~a~) ~a~%" (bazel.main:action-source-files action)
          (bazel.main:action-compilation-mode action)
          (and (eq action bazel.main:*action*)
               (bazel.main:action-find-output-file action "fasl")
               (null (bazel.main:action-failures action)))))
"#,
    )
    .file("lib.lisp", "(defun lib () 1)\n")
    .file("p.lisp", "(defun main () (print (lib)))\n")
    .file("x.lisp", "")
    .build();
    let outcome = ws.rbz("build //:p -c dbg").run();
    for line in [
        "init compile\n",
        "process lib.lisp lisp source\n",
        "compiled lib.lisp dbg T\n",
        "process lib.lisp lisp dependency\n",
        "compiled p.lisp dbg T\n",
        "init core\n",
        "lib.fasl fasl dependency\n",
    ] {
        outcome.shows(line);
    }
}

#[test]
fn an_image_of_another_make_is_run_with_bazelisp_s_arguments() {
    let ws = build_file(
        r#"
sh_binary(name = "image", srcs = ["image.sh"])
lisp_library(
    name = "lib",
    srcs = ["a.lisp", "b.lisp"],
    add_features = ["tea"],
    image = ":image",
    nowarn = ["style"],
    verbose = 2,
)
"#,
    )
    .file("a.lisp", "")
    .file("b.lisp", "")
    .file("image.sh", "#!/bin/bash\nouts=()\nprevious=\nfor argument; do\n  [[ $previous == --outs ]] && read -r -a outs <<< \"$argument\"\n  previous=$argument\ndone\nfor out in \"${outs[@]}\"; do { echo \"main $LISP_MAIN\"; printf '<%s>' \"$@\"; echo; } > \"$out\"; done\n")
    .build();
    ws.rbz("build //:lib --define LISP_BUILD_FORCE=1").run();
    let bin = "rbz-out/k8-fastbuild/bin";
    let told = ws.read("rbz-bin/lib~/b.fasl");
    assert!(told.starts_with("main bazel.main:main\n"), "{told}");
    for part in [
        "<compile>".to_owned(),
        "<--compilation-mode><fastbuild>".to_owned(),
        format!("<--bindir><{bin}>"),
        "<--features><tea>".to_owned(),
        "<--verbose><2>".to_owned(),
        "<--force>".to_owned(),
        "<--srcs><b.lisp>".to_owned(),
        "<--load><a.lisp>".to_owned(),
        "<--nowarn><style>".to_owned(),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    assert!(told.contains(&format!("{bin}/lib~/b.fasl")), "{told}");
    assert!(told.contains(&format!("{bin}/lib~/b.hash")), "{told}");
}
