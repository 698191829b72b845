;;;; The program that runs every Lisp action: `COMMAND PARAMETER-FILE`.
;;;;
;;;; `repl FASL …` is no action: what FASL defines makes a read-eval-print loop of the image.

(in-package "RBZ.DRIVER")

(defun main ()
  "Run the command that the command line names, and end with its exit code."
  (let ((arguments (bazel.sbcl:command-line-arguments)))
    (when (member "--interactive" arguments :test #'string=)
      (setf *interactive* t))
    (when (equal (first arguments) "repl")
      (become-repl (second arguments) (cddr arguments)))
    (when (equal (first arguments) "stem")
      ;; Only what it forks comes back.
      (setf arguments (serve)))
    (run-as-program
     (lambda ()
       (run (first arguments) (read-parameters (string-left-trim "@" (second arguments))))))))

(defun become-repl (fasl arguments)
  "Be a read-eval-print loop, as the FASL at a native path says."
  (load (native-path fasl))
  (funcall (intern "START" "RBZ.REPL") arguments))

(defun run-as-program (function)
  "Call FUNCTION, and end with 0 if it returns true, else with 1; so too after an error."
  (if *interactive*
      (sb-ext:enable-debugger)
      (sb-ext:disable-debugger))
  (leave (if (if *interactive* (funcall function) (call-failing function)) 0 1)))

(defun call-failing (function)
  "Call FUNCTION; what goes wrong is printed and ends the process."
  (handler-bind ((sb-sys:interactive-interrupt (lambda (condition)
                                                 (declare (ignore condition))
                                                 (leave 130)))
                 (load-failed (lambda (condition)
                                (declare (ignore condition))
                                (leave 1)))
                 (storage-condition #'fail-exhausted)
                 (error #'fail-unexpectedly))
    (funcall function)))

(defun run (command parameters)
  "Run COMMAND as PARAMETERS say; true if it went well."
  (cond ((string= command "compile") (rbz.compiling:compile-command parameters))
        ((string= command "core") (rbz.core:core-command parameters))
        ((string= command "test") (rbz.core:test-command parameters))
        ((string= command "concat") (concatenate-files parameters))
        (t (error 'bad-parameters :text (format nil "There is no command `~a`." command)))))

;;; Commands as bazelisp's image knows them. When a build runs them, all that a command line cannot
;;; say is in a file of parameters beside it.

(defun given-parameters (options &rest more)
  "The parameters that the build handed over, else those that OPTIONS of the command line and MORE
say."
  (let ((file (bazel.sbcl:getenv "RBZ_LISP_PARAMETERS")))
    (if file
        (read-parameters file)
        (append (bazel.main::command-parameters options) more))))

(defun bazel.main:main ()
  "Do what the command line says, as bazelisp's image does."
  (run-as-program
   (lambda ()
     (multiple-value-bind (command options)
         (bazel.main::parse-command-line (bazel.sbcl:command-line-arguments))
       (apply #'bazel.main:execute-command command options)))))

(defmethod bazel.main:execute-command :around (command &key interactive &allow-other-keys)
  (declare (ignore command))
  (when interactive
    (setf *interactive* t)
    (sb-ext:enable-debugger))
  (call-next-method))

(defmethod bazel.main:execute-command ((command (eql :compile)) &rest options)
  (rbz.compiling:compile-command (given-parameters options)))

(defmethod bazel.main:execute-command ((command (eql :core)) &rest options)
  (rbz.core:core-command (given-parameters options)))

(defmethod bazel.main:execute-command ((command (eql :binary)) &rest options)
  (rbz.core:core-command (given-parameters options '(:executable . "yes")) :binary))

(defun concatenate-files (parameters)
  "Write the files `input` one after the other into `output`."
  (with-open-file (out (native-path (parameter :output parameters))
                       :direction :output :if-exists :supersede :element-type '(unsigned-byte 8))
    (let ((buffer (make-array 65536 :element-type '(unsigned-byte 8))))
      (dolist (path (parameters :input parameters) t)
        (with-open-file (in (native-path path) :element-type '(unsigned-byte 8))
          (loop for end = (read-sequence buffer in)
                while (plusp end)
                do (write-sequence buffer out :end end)))))))

(defun leave (code)
  "End at once: nothing of the code that was loaded runs at the exit."
  (finish-output *standard-output*)
  (finish-output *error-output*)
  (sb-ext:exit :code code :abort t))

(defun fail-exhausted (condition)
  "Say what ran out."
  (print-failure "lisp" (condition-text condition)
                 :hint (exhaustion-hint condition))
  (leave 1))

(defun fail-unexpectedly (condition)
  "Say what happened; a file that is not there may be an input that nobody declared."
  (note-missing-input condition)
  (print-failure "lisp" (condition-text condition) :condition condition)
  (unless (typep condition 'file-error)
    (sb-debug:print-backtrace :stream *error-output* :count 30))
  (leave 1))

(defun save (path)
  "Save the driver itself as a core at the native PATH."
  (dolist (package (list-all-packages))
    (let ((name (package-name package)))
      (when (or (eql 0 (search "RBZ." name)) (eql 0 (search "BAZEL." name)))
        (sb-ext:lock-package package))))
  ;; The names that the scripts used which made this image.
  (do-symbols (symbol "COMMON-LISP-USER")
    (when (eq (symbol-package symbol) (find-package "COMMON-LISP-USER"))
      (unintern symbol "COMMON-LISP-USER")))
  (rbz.saving:save-driver path :toplevel 'main))
