;;;; Compiling source files: for each a FASL, what is undefined in it, and a hash.
;;;;
;;;; Parameters, beside those of loading: `nowarn NAME`, `mode fastbuild|opt|dbg`, and for each
;;;; file a group that starts with `source PATH`, followed by `fasl`, `warnings` and `hash` with
;;;; the paths of its outputs. With more than one group each file is loaded once it is compiled.

(in-package "RBZ.COMPILING")

(defstruct job
  "One file to compile and where its outputs go."
  (source "" :type string)
  (fasl "" :type string)
  (warnings "" :type string)
  (hash "" :type string))

(defstruct unit
  "What is known of the file that is being compiled."
  (source nil :type (or null source))
  (findings '() :type list)
  (undefined '() :type list))

(defvar *unit*)
(setf (documentation '*unit* 'variable) "The file that is being compiled.")

(defun jobs (parameters)
  "The files to compile, in order."
  (let ((jobs '()))
    (map-parameters (lambda (key value)
                      (case key
                        (:source (push (make-job :source value) jobs))
                        (:fasl (setf (job-fasl (first jobs)) value))
                        (:warnings (setf (job-warnings (first jobs)) value))
                        (:hash (setf (job-hash (first jobs)) value))))
                    parameters)
    (nreverse jobs)))

(defvar *parameters* '()
  "What the action was told.")

(defun compile-command (parameters)
  "Do what PARAMETERS say; true if all went well."
  (let ((action (begin-action :compile parameters)))
    (setf *parameters* parameters)
    (and (process-steps parameters)
         (let ((jobs (jobs parameters)))
           (setf (action-processing-sources-p action) t)
           (dolist (job jobs)
             (let ((*current-source-file* (job-source job)))
               (process-file action (job-source job)
                             (bazel.main::file-type (job-source job)))))
           (finish-action action :compile)))))

(defmethod finish-action ((action action) (command (eql :compile)))
  (let* ((jobs (jobs *parameters*)) (several (rest jobs)))
    (loop for job in jobs
          always (let ((*current-source-file* (job-source job)))
                   (compile-job job *parameters*))
          do (when several (process-step (format nil "fasl ~a" (job-fasl job))))
          always (sound-p))))

;;; Compiling one file

(defun policy (mode)
  "The policy of the compilation MODE."
  `(,@(cond ((string= mode "opt")
             '((speed 3) (debug 0) (safety 0) (space 1) (compilation-speed 1)))
            ((string= mode "dbg")
             '((speed 1) (debug 3) (safety 3) (space 1) (compilation-speed 1)))
            (t '((speed 1) (debug 2) (safety 3) (space 1) (compilation-speed 1))))
    (sb-c:insert-array-bounds-checks 3)))

(defun block-compilation (parameters)
  "How much of the file is one block: all, what it marks itself, or nothing."
  (let ((value (parameter :block-compile parameters nil)))
    (cond ((null value) nil)
          ((string= value "specified") :specified)
          (t t))))

(defun compile-job (job parameters)
  "Compile one file and write its outputs; true if nothing failed."
  (let* ((*unit* (make-unit))
         (written (call-with-verdicts job (lambda () (compile-in-unit job parameters))))
         (failures (remove-if-not #'finding-fails-p (unit-findings *unit*)))
         (failed (or failures (not written))))
    (when (unit-findings *unit*)
      (print-findings (unit-findings *unit*) (unit-source *unit*)))
    (when (and failed (not failures))
      (print-failure (job-source job) "the compiler gave up without saying why"))
    (cond ((and failed (or (not written)
                           (string= (parameter :force parameters "0") "0")))
           nil)
          (t (report-traces (job-fasl job) (current-directory)
                            (lambda (text)
                              (print-failure (job-source job) text :severity "warning")))
             (write-undefined job)
             (write-hash job)
             t))))

(defun compile-in-unit (job parameters)
  "Compile the file of JOB in a compilation unit of its own; true if a FASL was written."
  (let ((*package* (find-package "COMMON-LISP-USER"))
        (*readtable* *readtable*)
        (*features* *features*)
        ;; What the file does while it compiles (functions for its macros) often runs long.
        (sb-ext:*evaluator-mode* :compile)
        (sb-c::*policy* sb-c::*policy*)
        (sb-ext:*undefined-warning-limit* nil)
        ;; What the compiler writes by itself is said better by our own report.
        (*compile-verbose* nil)
        (*compile-print* nil))
    (set-policy (policy (parameter :mode parameters "fastbuild")))
    (let* ((stream *error-output*)
           ;; At its end the unit signals what is undefined, and prints a summary of its own.
           (*error-output* (make-broadcast-stream)))
      (with-compilation-unit (:override t :source-namestring (job-source job))
        (let ((*error-output* stream))
          (call-watching-clock
           (lambda ()
             (with-modules-refused ()
               (compile-file (native-path (job-source job))
                             :output-file (native-output (job-fasl job))
                             :external-format :utf-8
                             :block-compile (block-compilation parameters))))))))))

(defun native-output (path)
  "The absolute pathname of an output, so that no default is merged into it."
  (merge-pathnames (native-path path) (sb-ext:native-pathname (concatenate 'string (current-directory) "/"))))

(defun current-directory ()
  "The current directory."
  (string-right-trim "/" (sb-unix:posix-getcwd)))

(deftype reader-error-in-file ()
  "The error by which `compile-file` says that the file cannot be read."
  '(or sb-c::input-error-in-compile-file))

(defun call-with-verdicts (job function)
  "Call FUNCTION, which compiles the file of JOB, with every condition judged. Returns its value,
or nil if it did not come to its end."
  (let ((source (read-source-or-report job)) (position nil) (form-start nil))
    (when source
      (setf (unit-source *unit*) source)
      (flet ((note-place (condition)
               (note-missing-input condition)
               (multiple-value-setq (position form-start) (compiler-position))))
        (handler-case
            (handler-bind ((warning #'judge)
                           (sb-ext:compiler-note #'judge)
                           (sb-c:compiler-error #'record-compiler-error)
                           (sb-ext:defconstant-uneql #'keep-equal-constant)
                           (error #'note-place)
                           (condition #'judge-other))
              (silently function))
          (storage-condition (condition)
            (record-exhaustion condition)
            nil)
          (error (condition)
            ;; The compiler is no longer there to be asked for the place.
            (unless (recorded-p condition)
              (record condition :error :position position :form-start form-start
                                       :hint (error-hint condition)))
            nil))))))

(defun read-source-or-report (job)
  "The text of JOB's file, or nil after the failure was printed."
  (handler-case (read-source (job-source job))
    (file-error (condition)
      (note-missing-input condition)
      (print-failure (job-source job) (condition-text condition))
      nil)))

(defun silently (function)
  "Call FUNCTION without the compiler's own reports."
  (let ((names (remove-if-not #'fboundp '(sb-c::print-compiler-message sb-c::compiler-mumble))))
    (dolist (name names)
      (sb-int:encapsulate name 'rbz (lambda (function &rest arguments)
                                      (declare (ignore function arguments)))))
    (unwind-protect (funcall function)
      (dolist (name names) (sb-int:unencapsulate name 'rbz)))))

;;; Conditions

(defun judge (condition)
  "Decide what becomes of CONDITION, a warning or note of the compiler."
  (let ((verdict (compile-verdict condition)))
    (ecase verdict
      (:fail (record condition (severity condition)))
      (:show (record condition (severity condition)
                     :fails-p (typep condition '(and warning (not style-warning)))))
      (:defer (pushnew (nth-value 1 (undefined-function-p condition))
                       (unit-undefined *unit*) :test #'equal))
      (:muffle (bazel.main::count-muffled condition)))
    (muffle condition)))

(defun judge-other (condition)
  "Let the handlers of `nowarn` judge CONDITION, which is neither a warning nor a note; without their
verdict it is not our concern."
  (unless (typep condition '(or warning sb-ext:compiler-note))
    (let ((verdict (asked-of-other condition)))
      (when verdict (record condition (severity condition) :fails-p (eq verdict :fail))))))

(defun severity (condition)
  "Error, warning or note."
  (typecase condition
    (sb-ext:compiler-note :note)
    (error :error)
    (t :warning)))

(defun record (condition severity &key (fails-p t) position form-start (text (condition-text condition))
                                    hint (type (type-text condition)))
  "Add CONDITION to the findings of this file, at POSITION or where the compiler is."
  (unless position (multiple-value-setq (position form-start) (compiler-position)))
  (let ((finding (make-finding :severity severity :text text
                               :position position :form-start form-start
                               :condition-type type
                               :hint (or hint (nowarn-hint condition))
                               :fails-p fails-p)))
    (unless (find finding (unit-findings *unit*) :test #'equalp)
      (push finding (unit-findings *unit*)))))

(defun record-compiler-error (condition)
  "Record what made the compiler give up, or replace a form by a run-time error."
  (let ((inner (innermost condition)))
    (cond ((typep inner 'reader-error-in-file) (record-reader-error inner))
          (t (record condition :error :type (type-text inner) :hint (error-hint inner))
             (note-missing-input inner)))))

(defun error-hint (condition)
  "What may help against an error while a file compiles."
  (typecase condition
    (sb-ext:package-lock-violation
     "the package is locked: write the definition in a package of its own, or unlock it")
    (storage-condition (exhaustion-hint condition))
    (package-error
     (unless (find-package (package-error-package condition))
       "the file that defines it must come before this one in srcs, or its target be in deps"))
    (undefined-function
     "if it is defined in this target: load = \"image\" loads each compiled file before the next one compiles")))

(defun record-reader-error (condition)
  "Record that the file cannot be read, at the place where the reader stopped."
  (let* ((inner (innermost condition))
         (start (next-form-start)))
    ;; What `#.` evaluates may signal anything; then the form is the place.
    (record condition :error
            :position (if (typep inner 'reader-error) (reader-position inner) start)
            :form-start start
            :type (type-text inner)
            :hint (error-hint inner))))

(defun reader-position (condition)
  "The position in the text at which the reader stopped with CONDITION: before the character."
  (let* ((stream (stream-error-stream condition))
         (info (ignore-errors (sb-int:stream-error-position-info stream)))
         (line (second (assoc :line info)))
         (column (second (assoc :column info))))
    (if (and line column)
        (position-of (unit-source *unit*) line column)
        (next-form-start))))

(defun next-form-start ()
  "Where the form starts that the reader was in when it stopped."
  (let* ((source (unit-source *unit*))
         (last (last-form-start)))
    (if last (end-of-form source last) (form-position source 0 '()))))

(defun recorded-p (condition)
  "True if CONDITION was recorded when it was signalled."
  (typep condition 'sb-c:compiler-error))

(defun record-exhaustion (condition)
  "Record that memory ran out."
  (record condition :error :hint (exhaustion-hint condition)))

(defun exhaustion-hint (condition)
  "Which attribute gives more of what ran out."
  (if (search "STACK" (symbol-name (type-of condition)))
      "control_stack_size of the target gives the compiler a deeper stack"
      "dynamic_space_size of the target gives the compiler more memory"))

;;; Places

(defun compiler-position ()
  "Where the compiler is: the position of the form and that of its top-level form, or nil."
  (let* ((context (ignore-errors (sb-c::find-error-context nil)))
         (start (or (and context (sb-c::compiler-error-context-file-position context))
                    (last-form-start)))
         (path (and context
                    (rest (reverse (sb-c::compiler-error-context-original-source-path context)))))
         (start (and start (form-position (unit-source *unit*) start '()))))
    (values (and start (form-position (unit-source *unit*) start path)) start)))

(defun last-form-start ()
  "The position of the top-level form that was read last, or nil."
  (ignore-errors
   (let* ((info (sb-c::source-info-file-info sb-c::*source-info*))
          (positions (sb-c::file-info-positions info))
          (count (fill-pointer positions)))
     (form-position (unit-source *unit*)
                    (if (plusp count) (aref positions (1- count)) 0)
                    '()))))

;;; Outputs

(defun write-undefined (job)
  "Write the functions that were undefined at the end of the file, in an order of their own."
  (with-open-file (out (native-path (job-warnings job))
                       :direction :output :if-exists :supersede :external-format :utf-8)
    (let ((entries (sort (mapcar #'readable (unit-undefined *unit*)) #'string<)))
      (when entries
        (format out "(~{(~a)~^~% ~})~%"
                (loop for entry in entries
                      collect (format nil "~a :undefined-function ~a"
                                      (readable (job-source job)) entry)))))))

(defun readable (object)
  "OBJECT as `read` finds it again under standard syntax."
  (with-standard-io-syntax
    (let ((*package* (find-package "KEYWORD")) (*print-readably* nil))
      (prin1-to-string object))))

(defun write-hash (job)
  "Write the source's name, a zero byte, and its MD5."
  (with-open-file (out (native-path (job-hash job))
                       :direction :output :if-exists :supersede :element-type '(unsigned-byte 8))
    (write-sequence (sb-ext:string-to-octets (job-source job) :external-format :utf-8) out)
    (write-byte 0 out)
    (write-sequence (sb-md5:md5sum-file (native-path (job-source job))) out)))
