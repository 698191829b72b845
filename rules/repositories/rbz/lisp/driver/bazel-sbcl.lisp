;;;; The process, the environment and the image: what code written for bazelisp's image expects in
;;;; the package `BAZEL.SBCL`.

(in-package "BAZEL.SBCL")

;;; The process

(defun exit (&optional (code 0))
  "End the process with the exit status CODE."
  (sb-ext:exit :code code))

(defun run (program &key args input output (error :output) dir)
  "Run PROGRAM with the strings ARGS in the directory DIR and return its exit status. INPUT, OUTPUT
and ERROR are nil for nothing, true for our own, a pathname or a stream."
  (sb-ext:process-exit-code
   (sb-ext:run-program program args :input input :output output :error error :directory dir)))

(defun getenv (variable)
  "The value of the environment's VARIABLE, or nil."
  (sb-ext:posix-getenv variable))

(defun unsetenv (variable)
  "Remove VARIABLE from the environment."
  (sb-alien:alien-funcall
   (sb-alien:extern-alien "unsetenv" (function sb-alien:int sb-alien:c-string)) variable))

(defun chdir (directory)
  "Make DIRECTORY the current one."
  (let ((path (probe-file directory)))
    (unless (zerop (sb-alien:alien-funcall
                    (sb-alien:extern-alien "chdir" (function sb-alien:int sb-alien:c-string))
                    (sb-ext:native-namestring path)))
      (error "cannot change to ~a" directory))
    (setf *default-pathname-defaults* path)))

(defun command-line-arguments ()
  "The arguments of the program, without its name and the options of the runtime."
  (let ((rest (member "--end-runtime-options" sb-ext:*posix-argv* :test #'string=)))
    (if rest (rest rest) (rest sb-ext:*posix-argv*))))

(defun program-name ()
  "The name that the program was called by."
  (first sb-ext:*posix-argv*))

(defun default-toplevel-loop ()
  "The read-eval-print loop of the implementation, with its own command line."
  (sb-ext:enable-debugger)
  (sb-impl::toplevel-init))

(defun mute-output-streams ()
  "Let the runtime say nothing while it saves an image."
  (setf (sb-alien:extern-alien "lisp_startup_options" sb-alien:int) 1)
  nil)

;;; Functions

(defun inline-function-p (name)
  "True if the function of NAME is proclaimed inline."
  (eq (sb-int:info :function :inlinep name) 'inline))

(defun function-has-transforms-p (name)
  "True if the compiler knows calls of the function of NAME as something else."
  (or (sb-int:info :function :source-transform name)
      (let ((information (sb-int:info :function :info name)))
        (and information (sb-c::fun-info-transforms information)))))

(defun name-closure (closure name)
  "CLOSURE, printed under NAME from now on."
  (setf (sb-kernel:%fun-name closure) name)
  closure)

(defun remove-extra-debug-info ()
  "Take documentation, cross-references and types from all compiled functions, but not the source
forms that inlining needs."
  (sb-vm:map-allocated-objects
   (lambda (object type size)
     (declare (ignore size))
     (when (= type sb-vm:code-header-widetag)
       (dotimes (entry (sb-kernel:code-n-entries object))
         (let ((function (sb-kernel:%code-entry-point object entry)))
           (setf (sb-kernel:%simple-fun-info function) 'function
                 (sb-kernel:%simple-fun-source function) (sb-impl::%simple-fun-lexpr function))))))
   :all))

;;; Reading and evaluating

(defun set-interpret-mode (mode)
  "Let `eval` interpret if MODE is `:load`, else compile."
  (setf sb-ext:*evaluator-mode* (if (eq mode :load) :interpret :compile)))

(defun set-interactive-mode (&optional (interactive t))
  "Turn the debugger on or off."
  (if interactive (sb-ext:enable-debugger) (sb-ext:disable-debugger)))

(defun setup-readtable (readtable)
  "Let READTABLE read strings and symbols as base strings where that is possible."
  (when (fboundp '(setf sb-ext:readtable-base-char-preference))
    (funcall (fdefinition '(setf sb-ext:readtable-base-char-preference)) :both readtable))
  readtable)

(defun call-finding-packages (function make)
  "Call FUNCTION while packages that are not there are what MAKE, given a name, returns."
  (let ((busy nil))
    (sb-int:encapsulate 'find-package 'bazel.sbcl
                        (lambda (find name)
                          (or (funcall find name)
                              (unless busy
                                (let ((before busy))
                                  (setf busy t)
                                  (unwind-protect (funcall make name) (setf busy before)))))))
    (unwind-protect (handler-bind ((package-error #'continue)) (funcall function))
      (sb-int:unencapsulate 'find-package 'bazel.sbcl))))

(defmacro with-creating-find-package ((&key (use ''("COMMON-LISP"))) &body body)
  "Run BODY while packages that are not there are made when they are named; they use USE."
  `(call-finding-packages (lambda () ,@body) (lambda (name) (make-package name :use ,use))))

(defmacro with-default-package ((package) &body body)
  "Run BODY while PACKAGE stands for packages that are not there."
  `(call-finding-packages (lambda () ,@body) (lambda (name) (declare (ignore name)) ,package)))

(defun compile-files (names &rest arguments)
  "Call `compile-file` on NAMES, a file or a list of one, with ARGUMENTS."
  (apply #'compile-file
         (cond ((atom names) names)
               ((rest names) (error "compile-file takes one file, not ~d" (length names)))
               (t (first names)))
         arguments))
