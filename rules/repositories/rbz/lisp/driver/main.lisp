;;;; The program that runs every Lisp action: `COMMAND PARAMETER-FILE`.

(in-package "RBZ.DRIVER")

(defun main ()
  "Run the command that the command line names, and end with its exit code."
  (sb-ext:disable-debugger)
  (let ((arguments (command-line)))
    (handler-bind ((sb-sys:interactive-interrupt (lambda (condition)
                                                   (declare (ignore condition))
                                                   (leave 130)))
                   (load-failed (lambda (condition)
                                  (declare (ignore condition))
                                  (leave 1)))
                   (storage-condition #'fail-exhausted)
                   (error #'fail-unexpectedly))
      (leave (if (run (first arguments) (second arguments)) 0 1)))))

(defun command-line ()
  "The arguments that are not the runtime's own."
  (let ((rest (member "--end-runtime-options" sb-ext:*posix-argv* :test #'string=)))
    (if rest (rest rest) (rest sb-ext:*posix-argv*))))

(defun run (command argument)
  "Run COMMAND on the parameters in the file that ARGUMENT names as `@PATH`; true if it went well."
  (let ((parameters (read-parameters (string-left-trim "@" argument))))
    (cond ((string= command "compile") (rbz.compiling:compile-command parameters))
          ((string= command "core") (rbz.core:core-command parameters))
          ((string= command "concat") (concatenate-files parameters))
          (t (error 'bad-parameters :text (format nil "There is no command `~a`." command))))))

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
                 :hint (if (search "STACK" (symbol-name (type-of condition)))
                           "control_stack_size of the target gives a deeper stack"
                           "dynamic_space_size of the target gives more memory"))
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
      (when (or (eql 0 (search "RBZ." name)) (string= name "BAZEL.WARNING"))
        (sb-ext:lock-package package))))
  (rbz.core:save-driver path :toplevel 'main))
