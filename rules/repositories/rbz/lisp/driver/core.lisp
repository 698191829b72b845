;;;; Saving cores and programs, and what runs when a program starts.
;;;;
;;;; Parameters: `load STEP` for everything that belongs inside, `warnings PATH` for what was
;;;; undefined when it was compiled, `output PATH`, `main TEXT` or `expression TEXT`.

(in-package "RBZ.CORE")

(defun core-command (parameters)
  "Do what PARAMETERS say; returns only if that fails."
  (prepare-image)
  (add-features (parameters :feature parameters))
  (and (load-all parameters)
       (modes-agree-p parameters)
       (undefined-resolved-p parameters)
       (no-threads-p nil)
       (let ((toplevel (toplevel parameters)))
         (when toplevel
           (when (parameter :precompile-generics parameters nil) (precompile-generics))
           (restore-defaults)
           (save-core (parameter :output parameters)
                      :toplevel toplevel
                      :executable (parameter :executable parameters nil)
                      :runtime-options (parameter :save-runtime-options parameters nil)
                      :compression (parameter :compression parameters nil))))))

(defun load-all (parameters)
  "Load everything that belongs into the core; true unless something failed."
  (setf rbz.verdict:*handlers* (parameters :nowarn parameters))
  (loop for step in (rbz.compiling:steps parameters)
        always (with-modules-refused () (rbz.compiling:load-with-verdicts step))
        always (no-threads-p step)))

(defun modes-agree-p (parameters)
  "True unless features of two compilation modes are set."
  (cond ((and (member :opt *features*) (member :dbg *features*))
         (print-failure (parameter :target parameters "")
                        "both of the features :opt and :dbg are set: the program would be of two compilation modes")
         nil)
        (t t)))

(defun no-threads-p (step)
  "True unless a thread that loading STEP started is still running."
  (let ((threads (remove-if (lambda (thread)
                              (or (eq thread sb-thread:*current-thread*)
                                  (not (sb-thread:thread-alive-p thread))))
                            (sb-thread:list-all-threads))))
    (dolist (thread threads (null threads))
      (print-failure (if step (subseq step (1+ (position #\Space step))) "core")
                     (format nil "loading it started the thread `~a`, which is still running: a core cannot be saved with it"
                             (sb-thread:thread-name thread))
                     :hint "start it when the program starts, not when its code is loaded"))))

;;; What was undefined

(defun undefined-resolved-p (parameters)
  "True if every function that was undefined at compile time is there now, as a plain function."
  (let ((failed nil))
    (dolist (path (parameters :warnings parameters) (not failed))
      (dolist (entry (read-undefined path))
        (destructuring-bind (source kind name) entry
          (declare (ignore kind))
          (let ((complaint (complaint name)))
            (when complaint
              (setf failed t)
              (print-failure source complaint))))))))

(defun read-undefined (path)
  "The entries of the file of undefined functions at the native PATH."
  (with-open-file (in (native-path path) :external-format :utf-8)
    (with-standard-io-syntax
      (let ((*read-eval* nil) (*package* (find-package "KEYWORD")))
        (read in nil '())))))

(defun complaint (name)
  "What is wrong with a call of NAME that was compiled before NAME was known; nil if nothing is."
  (let ((shown (let ((*package* (find-package "KEYWORD")) (*print-case* :downcase))
                 (prin1-to-string name))))
    (cond ((not (fboundp name))
           (format nil "undefined function: ~a" shown))
          ((and (symbolp name) (or (macro-function name) (special-operator-p name)))
           (format nil "~a is a macro, but was compiled as a function call: the file that defines it must come first" shown))
          ((compiler-macro-function name)
           (format nil "~a has a compiler macro, but was compiled as an ordinary call: the file that defines it must come first" shown))
          ((eq (sb-int:info :function :inlinep name) 'inline)
           (format nil "~a is inline, but was compiled as an ordinary call: the file that defines it must come first" shown))
          ((and (symbolp name) (sb-int:info :function :source-transform name))
           (format nil "~a is known to the compiler (a structure's accessor, say), but was compiled as an ordinary call: the file that defines it must come first" shown)))))

;;; What runs when the program starts

(defun toplevel (parameters)
  "The function that the program starts with, or nil after the failure was printed."
  (let ((target (parameter :target parameters ""))
        (expression (parameter :expression parameters nil))
        (main (parameter :main parameters "nil")))
    (handler-case
        (if expression
            (let ((form (read-in-user-package expression)))
              (lambda () (start-program (lambda () (sb-ext:exit :code (if (eval form) 0 1))))))
            (let ((function (main-function (read-in-user-package main))))
              (lambda () (start-program function))))
      (error (condition)
        (print-failure target (condition-text condition))
        nil))))

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
        ((and (consp form) (symbolp (first form)))
         (require-function (first form))
         (if (or (macro-function (first form)) (special-operator-p (first form)))
             (lambda () (eval form))
             (lambda () (apply (first form) (rest form)))))
        (t (error "`main` must be a symbol or a call, not ~s" form))))

(defun require-function (name)
  "Fail unless NAME is fbound."
  (unless (fboundp name)
    (error "`main` is ~(~s~), but no function of this name is defined" name)))

(defun call-named (name)
  "Call the function whose name the string NAME is; false if there is none."
  (let ((symbol (ignore-errors (let ((*read-eval* nil)) (read-in-user-package name)))))
    (when (and symbol (symbolp symbol) (fboundp symbol))
      (funcall symbol)
      t)))

(defun start-program (function)
  "What a saved program does first: FUNCTION, or what `LISP_MAIN` names, and then the end."
  (sb-ext:disable-debugger)
  (call-uiop "CALL-IMAGE-RESTORE-HOOK")
  (let ((main (sb-ext:posix-getenv "LISP_MAIN")))
    (when main (sb-alien:alien-funcall (sb-alien:extern-alien "unsetenv" (function sb-alien:int sb-alien:c-string)) "LISP_MAIN"))
    (handler-bind ((sb-sys:interactive-interrupt
                     (lambda (condition)
                       (declare (ignore condition))
                       (sb-ext:exit :code 130 :abort t)))
                   (stream-error #'exit-if-nobody-reads))
      (cond ((and main (call-named main)))
            (main
             (format *error-output* "warning: LISP_MAIN is `~a`, which names no function~%" main)
             (repl))
            ((eq function :repl) (repl))
            (t (funcall function)))
      (sb-ext:exit :code 0))))

(defun exit-if-nobody-reads (condition)
  "End quietly, as other programs do, when what reads our output has gone."
  (when (and (typep condition 'sb-int:broken-pipe)
             (member (stream-error-stream condition) (list sb-sys:*stdout* *standard-output*)))
    (sb-ext:exit :code 141 :abort t)))

(defun repl ()
  "The read-eval-print loop of the implementation, with its own command line."
  (sb-ext:enable-debugger)
  (sb-impl::toplevel-init))

(defun call-uiop (name)
  "Call UIOP's function of NAME if UIOP is in the image."
  (let* ((package (find-package "UIOP"))
         (symbol (and package (find-symbol name package))))
    (when (and symbol (fboundp symbol)) (funcall symbol))))

;;; Saving

(defun restore-defaults ()
  "Undo what only the compilation of files needs."
  (setf sb-ext:*evaluator-mode* :compile
        *readtable* (copy-readtable nil)
        *package* (find-package "COMMON-LISP-USER")
        (sb-ext:bytes-consed-between-gcs) (* 53687091 1))
  (let ((dumped (and (find-package "UIOP") (find-symbol "*IMAGE-DUMPED-P*" "UIOP"))))
    (when dumped
      (setf (symbol-value dumped) :executable)
      (call-uiop "CALL-IMAGE-DUMP-HOOK")))
  (sb-ext:disable-debugger))

(defun precompile-generics ()
  "Compute the dispatch of generic functions now, so that no program does it at its start."
  (when (fboundp 'sb-pcl::make-final-dfun-internal)
    (do-all-symbols (symbol)
      (unless (or (null (symbol-package symbol))
                  (sb-int:system-package-p (symbol-package symbol)))
        (dolist (name (list symbol (list 'setf symbol)))
          (let ((function (generic-function-named name)))
            (when (and function (precompilable-p function))
              (ignore-errors
               (multiple-value-call #'sb-pcl::update-dfun
                 function (sb-pcl::make-final-dfun-internal function))))))))))

(defun generic-function-named (name)
  "The generic function of NAME, or nil."
  (let ((function (and (fboundp name)
                       (not (and (symbolp name)
                                 (or (macro-function name) (special-operator-p name))))
                       (fdefinition name))))
    (and (typep function 'standard-generic-function) function)))

(defun precompilable-p (function)
  "True of a generic function whose dispatch can be computed before its first call: accessors find
their slots only in classes that have instances already."
  (notany (lambda (method) (typep method 'sb-mop:standard-accessor-method))
          (sb-mop:generic-function-methods function)))

(defun save-core (path &key toplevel executable runtime-options compression)
  "Save the image at the native PATH as an ordinary one, and end. The same image gives the same bytes:
address-space randomisation is off (the command line sees to that), no thread but this one runs, and
what counts time or allocation is set back at the last moment, after the last collection."
  (at-last-moment 'become-ordinary)
  (let ((path (native-path path)))
    (apply #'sb-ext:save-lisp-and-die path
           :toplevel toplevel
           :executable (and executable t)
           (append (when runtime-options
                     (list :save-runtime-options (if executable t nil)))
                   (when (and compression (member :sb-core-compression *features*))
                     (list :compression (parse-integer compression)))))))

(defun save-driver (path &key toplevel)
  "Save the image at the native PATH as one that stays without the thread that runs finalizers
(`base.lisp` says why), and end."
  (when (fboundp 'sb-impl::finalizer-thread-start)
    (sb-int:encapsulate 'sb-impl::finalizer-thread-start 'rbz (constantly nil))
    (sb-int:encapsulate 'sb-impl::finalizer-thread-stop 'rbz 'stop-if-started))
  (at-last-moment 'reset-counters)
  (sb-ext:save-lisp-and-die (native-path path) :toplevel toplevel))

(defun stop-if-started (stop)
  "Call STOP, which fails when the thread that runs finalizers is not there."
  (when (symbol-value 'sb-impl::*finalizer-thread*) (funcall stop)))

(defun at-last-moment (function)
  "Call FUNCTION when everything is done that saving a core does in Lisp."
  (sb-int:encapsulate 'sb-impl::stream-deinit 'rbz
                      (lambda (stream-deinit &rest arguments)
                        (sb-int:unencapsulate 'sb-impl::stream-deinit 'rbz)
                        (funcall function)
                        (apply stream-deinit arguments))))

(defun reset-counters ()
  "Set back what differs from run to run."
  (setf sb-ext:*gc-run-time* 0
        sb-kernel::*n-bytes-freed-or-purified* 0))

(defun become-ordinary ()
  "Undo what makes the driver repeatable: a program has finalizers, and is free to use threads."
  (when (fboundp 'sb-impl::finalizer-thread-start)
    (sb-int:unencapsulate 'sb-impl::finalizer-thread-start 'rbz)
    (sb-int:unencapsulate 'sb-impl::finalizer-thread-stop 'rbz))
  (reset-counters))
