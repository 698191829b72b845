;;;; What runs when a program starts.

(in-package "RBZ.PROGRAM")

(defvar *workspace-status* '()
  "What is known of the workspace that the program was built in, if it was stamped: an alist of
strings such as `(\"BUILD_EMBED_LABEL\" . \"1.2\")`.")

(defvar *finalizers-held* nil
  "True in an image that was saved to run actions: it starts without the thread that runs
finalizers.")

(defun toplevel (parameters)
  "The function that the program starts with, or nil after the failure was printed."
  (let ((target (rbz.parameters:parameter :target parameters "main"))
        (expression (rbz.parameters:parameter :expression parameters nil))
        (main (rbz.parameters:parameter :main parameters "nil")))
    (handler-case
        (if expression
            (let ((form (read-in-user-package expression)))
              (lambda () (start-program (lambda () (exit-by-value form)))))
            (let ((function (main-function (read-in-user-package main))))
              (lambda () (start-program function))))
      (reader-error (condition)
        (print-failure target (format nil "`~a` is ~a: ~a" (if expression "expression" "main")
                                      (or expression main) (condition-text condition))
                       :hint "it names what the sources of the target or its deps define")
        nil)
      (error (condition)
        (print-failure target (condition-text condition))
        nil))))

(defun exit-by-value (form)
  "End the program: with success if FORM is true, else with failure, and say so."
  (let ((true (eval form)))
    (unless true
      (format *error-output* "the expression is false: ~s~@
                              hint: if its value does not say whether the tests passed, and they ~
                              signal an error when they fail: (progn … t)~%"
              form)
      (finish-output *error-output*))
    (sb-ext:exit :code (if true 0 1))))

(defun read-in-user-package (text)
  "The one form in TEXT, read as a user's file would be."
  (let ((*package* (find-package "COMMON-LISP-USER")) (*readtable* (copy-readtable nil)))
    (read-from-string text)))

(defun main-function (form)
  "The function that FORM, the value of `main`, stands for; `:repl` for the read-eval-print loop."
  (cond ((member form '(nil t)) :repl)
        ((symbolp form)
         (require-function form)
         (lambda () (funcall form)))
        ((atom form) (error "`main` must be a symbol or a call, not ~s" form))
        ((or (not (symbolp (first form)))
             (macro-function (first form))
             (special-operator-p (first form)))
         (lambda () (eval form)))
        (t
         (require-function (first form))
         (lambda () (apply (first form) (rest form))))))

(defun require-function (name)
  "Fail unless NAME is fbound."
  (unless (fboundp name)
    (error "`main` is ~(~s~), but no function of this name is defined" name)))

(defun named-main (name)
  "The function of the name in the string NAME, `:repl` for the read-eval-print loop, or nil."
  (let ((symbol (handler-case (let ((*read-eval* nil)) (read-in-user-package name))
                  (end-of-file () nil)
                  (error () '#:none))))
    (cond ((member symbol '(nil t)) :repl)
          ((and (symbolp symbol) (fboundp symbol)) (lambda () (funcall symbol))))))

(defun start-program (function)
  "What a saved program does first: FUNCTION, or what `LISP_MAIN` names, and then the end."
  (sb-ext:disable-debugger)
  (apply-runtime-options)
  (let ((main (sb-ext:posix-getenv "LISP_MAIN")))
    (unless (equal main "bazel.main:main") (release-finalizers))
    (call-uiop "CALL-IMAGE-RESTORE-HOOK")
    (when main
      (bazel.sbcl:unsetenv "LISP_MAIN")
      (setf function
            (or (named-main main)
                (progn
                  (format *error-output*
                          "warning: LISP_MAIN is `~a`, which names no function~%" main)
                  :repl))))
    (handler-bind ((sb-sys:interactive-interrupt
                     (lambda (condition)
                       (declare (ignore condition))
                       (sb-ext:exit :code 130 :abort t)))
                   (stream-error #'exit-if-nobody-reads))
      (if (eq function :repl) (repl) (funcall function))
      (sb-ext:exit :code 0))))

(defun exit-if-nobody-reads (condition)
  "End quietly, as other programs do, when what reads our output has gone."
  (when (and (typep condition 'sb-int:broken-pipe)
             (member (stream-error-stream condition) (list sb-sys:*stdout* *standard-output*)))
    (sb-ext:exit :code 141 :abort t)))

(defun repl ()
  "The read-eval-print loop of the implementation, with its own command line."
  (bazel.sbcl:default-toplevel-loop))

(defun call-uiop (name)
  "Call UIOP's function of NAME if UIOP is in the image."
  (let* ((package (find-package "UIOP"))
         (symbol (and package (find-symbol name package))))
    (when (and symbol (fboundp symbol)) (funcall symbol))))

;;; Finalizers
;;;
;;; `base.lisp` says why no thread may run them while an image is made. An image that runs actions
;;; is made of programs, and a program is free to use threads.

(defun start-without-finalizers ()
  "Let the image start without the thread that runs finalizers when it is a program."
  (when (and (fboundp 'sb-impl::finalizer-thread-start) (not *finalizers-held*))
    (sb-int:encapsulate 'sb-impl::finalizer-thread-start :rbz (constantly nil))
    (sb-int:encapsulate 'sb-impl::finalizer-thread-stop :rbz 'stop-if-started)
    (setf *finalizers-held* t)))

(defun stop-if-started (stop)
  "Call STOP, which fails when the thread that runs finalizers is not there."
  (when (symbol-value 'sb-impl::*finalizer-thread*) (funcall stop)))

(defun release-finalizers ()
  "Start the thread that runs finalizers, if it was held back."
  (when *finalizers-held*
    (forget-finalizers)
    (sb-impl::finalizer-thread-start)))

(defun forget-finalizers ()
  "Let the image start as any other."
  (when (fboundp 'sb-impl::finalizer-thread-start)
    ;; The image may be made of one that was held already.
    (dolist (name '(sb-impl::finalizer-thread-start sb-impl::finalizer-thread-stop))
      (loop while (sb-int:encapsulated-p name :rbz) do (sb-int:unencapsulate name :rbz)))
    (setf *finalizers-held* nil)))
