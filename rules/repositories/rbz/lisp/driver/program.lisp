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
  (let ((target (rbz.parameters:parameter :target parameters "main")))
    (handler-case (started-function target parameters)
      ((or reader-error end-of-file) (condition)
        (let ((expression (rbz.parameters:parameter :expression parameters nil)))
          (print-failure target (format nil "`~:[main~;expression~]` is ~a: ~a" expression
                                        (or expression (rbz.parameters:parameter :main parameters "nil"))
                                        (condition-text condition))
                         :hint "it names what the sources of the target or its deps define"))
        nil)
      (rbz.test:unfit (condition)
        (print-failure target (condition-text condition) :hint (rbz.test:unfit-hint condition))
        nil)
      (error (condition)
        (print-failure target (condition-text condition))
        nil))))

(defun started-function (target parameters)
  "The function that PARAMETERS of TARGET ask for."
  (flet ((given (key) (rbz.parameters:parameter key parameters nil)))
    (let ((expression (given :expression)) (main (or (given :main) "nil")))
      (cond ((or (given :framework) (given :own-adapter))
             (test-function parameters))
            (expression
             (let ((function (expression-function expression)))
               (lambda () (start-program (lambda () (exit-by-value target expression function))))))
            ((or (null (rbz.parameters:parameters :adapter parameters)) (named-main main))
             (let ((function (main-function (read-in-user-package main))))
               (lambda () (start-program function))))
            (t (or (test-function parameters)
                   (error "`main` is ~a, but no function of this name is defined, nor is a test of a framework that is known; `expression` may say what is tested" main)))))))

(defun tests-pass-p (parameters)
  "Run the tests that PARAMETERS ask for in this image, which loaded them; true if they pass."
  (let ((target (rbz.parameters:parameter :target parameters))
        (expression (rbz.parameters:parameter :expression parameters nil))
        (sb-ext:*evaluator-mode* :compile)
        (*package* (find-package "COMMON-LISP-USER"))
        (*readtable* (copy-readtable nil)))
    (handler-case
        (if expression
            (let ((function (expression-function expression)))
              (or (funcall function)
                  (print-failure target (format nil "`tests_expression` is false: ~a" expression))))
            (multiple-value-bind (framework cases) (rbz.test:prepare parameters)
              (if framework
                  (rbz.test:run-program framework cases nil)
                  (print-failure target "`tests`: no framework that is known has tests"
                                 :hint "tests_expression = \"(my-tests:run)\" says what runs them"))))
      (rbz.test:unfit (condition)
        (print-failure target (condition-text condition) :hint (rbz.test:unfit-hint condition)))
      (error (condition)
        (print-failure target (condition-text condition) :condition condition)))))

(defun test-function (parameters)
  "The function of a program that runs the tests of a framework, or nil if there are none."
  (multiple-value-bind (framework cases) (rbz.test:prepare parameters)
    (when framework
      (let* ((expression (rbz.parameters:parameter :expression parameters nil))
             (function (and expression (expression-function expression))))
        (lambda ()
          (start-program
           (lambda ()
             (exit-with (rbz.test:run-program framework cases function)))))))))

(defun expression-function (text)
  "The compiled function whose value is that of the one form in TEXT; an error if it cannot work."
  (let ((form (read-in-user-package text)) (wrong nil))
    (multiple-value-bind (function warnings failed)
        (let ((*error-output* (make-broadcast-stream)))
          (handler-bind ((warning (lambda (condition)
                                    (unless (or wrong
                                                (typep condition 'bazel.warning:uninteresting-condition)
                                                (and (typep condition 'style-warning)
                                                     (not (bazel.warning:undefined-function-p condition))))
                                      (setf wrong (condition-text condition)))
                                    (muffle-warning condition))))
            (let ((sb-ext:*evaluator-mode* :compile) (*package* (find-package "COMMON-LISP-USER")))
              (compile nil `(lambda () ,form)))))
      (declare (ignore warnings failed))
      (when wrong (error "`expression` is ~a: ~a" text wrong))
      function)))

(defun exit-by-value (target text function)
  "End the program, a test that is TARGET: with success if the value of FUNCTION, the expression TEXT, is
true, else with failure, and say so."
  (let ((true (handler-bind ((error (lambda (condition) (note-ending-error target text condition))))
                (funcall function))))
    (unless true
      (print-failure target (format nil "the expression is false: ~a" text)
                     :hint "if its value does not say whether the tests passed, and they signal an error when they fail: (progn … t)"))
    (exit-with true)))

(defun note-ending-error (target text condition)
  "If nobody handles CONDITION, which the expression TEXT of TARGET signalled, say what it is before
what the implementation says."
  (let ((hook sb-ext:*invoke-debugger-hook*))
    (setf sb-ext:*invoke-debugger-hook*
          (lambda (last own-hook)
            (setf sb-ext:*invoke-debugger-hook* hook)
            (when (eq last condition)
              (print-failure target (format nil "the expression ~a was ended by an error: ~a" text
                                            (condition-text condition))
                             :condition condition))
            (when hook (funcall hook last own-hook))))))

(defun exit-with (true)
  "End the program: with success if TRUE."
  (sb-ext:exit :code (if true 0 1)))

(defun read-in-user-package (text)
  "The one form in TEXT, read as a user's file would be."
  (let ((*package* (find-package "COMMON-LISP-USER")) (*readtable* (copy-readtable nil)))
    (multiple-value-bind (form end) (read-from-string text)
      (unless (eq (read-from-string text nil text :start end) text)
        (error "there is more than one form: ~a" text))
      form)))

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
  (begin-marks)
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
