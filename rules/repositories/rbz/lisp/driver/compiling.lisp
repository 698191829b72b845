;;;; Compiling source files: for each a FASL, what is undefined in it, and a hash.
;;;;
;;;; Parameters, beside those of loading: `nowarn NAME`, `mode fastbuild|opt|dbg`, and for each
;;;; file a group that starts with `source PATH`, followed by `fasl`, `warnings`, `hash` and `map` with
;;;; the paths of its outputs. With more than one group each file is loaded once it is compiled.
;;;;
;;;; With `together PATH` all files are compiled as one, which is written to PATH; then only the
;;;; first group has `fasl`, `warnings` and `map`. `block-compile all|specified`, `coverage yes`,
;;;; `inlining no` and `encoding NAME` say how.

(in-package "RBZ.COMPILING")

(defstruct job
  "One file to compile and where its outputs go."
  (source "" :type string)
  (fasl "" :type string)
  (warnings "" :type string)
  (hash "" :type string)
  ;; What is known of the marks of coverage, if it is instrumented; nil: nobody asks.
  (map nil :type (or null string))
  ;; The jobs that are done by this one, if several files are compiled together.
  (parts '() :type list))

(defstruct unit
  "What is known of the file that is being compiled."
  (source nil :type (or null source))
  (findings '() :type list)
  (undefined '() :type list)
  ;; What is known of its marks, if it has any.
  (noted nil))

(defvar *unit*)
(setf (documentation '*unit* 'variable) "The file that is being compiled.")

(defun jobs (parameters)
  "The files to compile, in order."
  (let ((jobs '()))
    (map-parameters (lambda (key value)
                      (case key
                        (:source
                         (push (make-job :source value) jobs)
                         (let ((encoding (parameter :encoding parameters nil)))
                           (when encoding (note-encoding value encoding))))
                        (:fasl (setf (job-fasl (first jobs)) value))
                        (:warnings (setf (job-warnings (first jobs)) value))
                        (:hash (setf (job-hash (first jobs)) value))
                        (:map (setf (job-map (first jobs)) value))))
                    parameters)
    (let ((jobs (nreverse jobs)) (together (parameter :together parameters nil)))
      (if together
          (list (make-job :source together :parts jobs :map (job-map (first jobs))
                          :fasl (job-fasl (first jobs)) :warnings (job-warnings (first jobs))))
          jobs))))

(defvar *parameters* '()
  "What the action was told.")

(defun compile-command (parameters)
  "Do what PARAMETERS say; true if all went well."
  (let ((action (begin-action :compile parameters)))
    (setf *parameters* parameters)
    (and (process-steps parameters)
         (progn
           (setf (action-processing-sources-p action) t)
           (dolist (source (action-source-files action))
             (let ((*current-source-file* source))
               (process-file action source (bazel.main::file-type source))))
           (finish-action action :compile)))))

(defmethod finish-action ((action action) (command (eql :compile)))
  (let* ((jobs (jobs *parameters*)) (several (rest jobs)))
    (loop for job in jobs
          always (let ((*current-source-file* (job-source job)))
                   (compile-job job *parameters*))
          do (when several (process-step (format nil "fasl ~a" (job-fasl job))))
          always (sound-p))))

;;; Compiling one file

(defun policy (mode coverage)
  "The policy of the compilation MODE; with COVERAGE code notes which of its forms ran."
  `(,@(cond ((string= mode "opt")
             '((speed 3) (debug 0) (safety 0) (space 1) (compilation-speed 1)))
            ((string= mode "dbg")
             '((speed 1) (debug 3) (safety 3) (space 1) (compilation-speed 1)))
            (t '((speed 1) (debug 2) (safety 3) (space 1) (compilation-speed 1))))
    (sb-c:insert-array-bounds-checks 3)
    (sb-c:store-coverage-data ,(if coverage 3 0))))

(defun block-compilation (parameters)
  "How much of the file is one block: all, what it marks itself, or nothing."
  (let ((value (parameter :block-compile parameters nil)))
    (cond ((null value) nil)
          ((string= value "specified") :specified)
          (t t))))

(defun compile-job (job parameters)
  "Compile one file and write its outputs; true if nothing failed."
  (if (and (job-map job) (parameter :coverage parameters nil))
      (compile-instrumented job parameters)
      (compile-once job parameters)))

(defun compile-once (job parameters &optional (on-failure 'print-failures))
  "Compile one file and write its outputs; true if nothing failed, else ON-FAILURE is called with JOB
and the findings that are failures."
  (let* ((*unit* (make-unit))
         (written (call-with-verdicts job (lambda () (compile-in-unit job parameters))))
         (failures (remove-if-not #'finding-fails-p (unit-findings *unit*)))
         (failed (or failures (not written))))
    (cond ((and failed (or (not written)
                           (string= (parameter :force parameters "0") "0")))
           (funcall on-failure job failures)
           nil)
          (t (when (unit-findings *unit*)
               (print-findings (unit-findings *unit*) (unit-source *unit*)))
             ;; SBCL writes the whole path of a file into the marks of coverage; only where they are
             ;; mapped they have another name.
             (unless (and (parameter :coverage parameters nil) (null (job-map job)))
               (report-traces (job-fasl job) (current-directory)
                              (lambda (text)
                                (print-failure (job-source job) text :severity "warning"))))
             (write-undefined job)
             (write-hash job)
             (when (unit-noted *unit*) (write-map (job-map job) (unit-noted *unit*)))
             t))))

(defun print-failures (job failures)
  "Print what was found in the file of JOB, FAILURES among it."
  (when (unit-findings *unit*)
    (print-findings (unit-findings *unit*) (unit-source *unit*)))
  (unless failures
    (print-failure (job-source job) "the compiler gave up without saying why")))

;;; Some code cannot be compiled with marks. What the compiler has done by then cannot be taken back, so
;;; another process waits, as this one was before, that compiles the file without.

(defun compile-instrumented (job parameters)
  "Compile one file with marks, or where that cannot be without; true if nothing failed."
  (finish-output *standard-output*)
  (finish-output *error-output*)
  (multiple-value-bind (role tell why) (fork-spare)
    (ecase role
      (:alone (compile-once job parameters))
      (:first
       (cond ((compile-once job parameters
                            (lambda (job failures)
                              (declare (ignore job))
                              (funcall tell (if failures
                                                (finding-text (first failures))
                                                "the compiler gave up without saying why"))))
              (funcall tell nil)
              t)))
      (:spare (compile-without-marks job (remove :coverage parameters :key #'first) why)))))

(defun compile-without-marks (job parameters why)
  "Compile a file without marks, that could not be compiled with them, which WHY says; true if nothing
failed."
  (when (compile-once job parameters)
    (let ((source (if (job-parts job) (join-parts job) (read-source (job-source job)))))
      (print-failure (job-source job)
                     (format nil "it cannot be compiled with marks of coverage and has none: ~a" why)
                     :severity "warning")
      (write-why-none (job-map job) source why))
    t))

(defvar *part-readtable* nil
  "What each of several files that are compiled together starts with.")

(defvar *part-policy* nil
  "What each of several files that are compiled together starts with.")

(defun compile-in-unit (job parameters)
  "Compile the file of JOB in a compilation unit of its own; true if a FASL was written."
  (let ((*package* (find-package "COMMON-LISP-USER"))
        (*readtable* *readtable*)
        (*features* *features*)
        ;; What the file does while it compiles (functions for its macros) often runs long.
        (sb-ext:*evaluator-mode* :compile)
        (sb-c::*policy* sb-c::*policy*)
        (*join-types-p* (string= (parameter :mode parameters "fastbuild") "opt"))
        (sb-ext:*undefined-warning-limit* nil)
        ;; What the compiler writes by itself is said better by our own report.
        (*compile-verbose* nil)
        (*compile-print* nil))
    (set-policy (policy (parameter :mode parameters "fastbuild")
                        (parameter :coverage parameters nil)))
    (setf *part-readtable* *readtable* *part-policy* sb-c::*policy*)
    (let* ((stream *error-output*)
           ;; At its end the unit signals what is undefined, and prints a summary of its own.
           (*error-output* (make-broadcast-stream)))
      (with-compilation-unit (:override t :source-namestring (job-source job))
        (let ((*error-output* stream))
          (call-watching-clock
           (lambda ()
             (with-modules-refused ()
               (flet ((compile-it ()
                        (compile-file (native-path (job-source job))
                                      :output-file (native-output (job-fasl job))
                                      :external-format (encoding-of (job-source job))
                                      :block-compile (block-compilation parameters))))
                 (let ((compile (if (string= (parameter :mode parameters "fastbuild") "dbg")
                                    (lambda () (call-noting-lines (unit-source *unit*) #'compile-it))
                                    #'compile-it)))
                   (cond ((and (job-map job) (parameter :coverage parameters nil))
                          (multiple-value-bind (written noted)
                              (call-mapping (unit-source *unit*) compile)
                            (setf (unit-noted *unit*) noted)
                            written))
                         ((equal (parameter :inlining parameters nil) "no")
                          (call-without-inlining compile))
                         (t (funcall compile)))))))))))))

(defun begin-part ()
  "Called between two files that are compiled together: neither sees what the other set."
  (setf *readtable* (copy-readtable *part-readtable*)
        sb-c::*policy* *part-policy*))

(defun join-parts (job)
  "The sources of the parts of JOB as one, also written where JOB's source is."
  (let ((joined (join-sources
                 (job-source job)
                 (mapcar (lambda (part) (read-source (job-source part))) (job-parts job))
                 (format nil "~%(CL:IN-PACKAGE \"COMMON-LISP-USER\")~@
                              (CL:EVAL-WHEN (:COMPILE-TOPLEVEL) (RBZ.COMPILING::BEGIN-PART))~%"))))
    (with-open-file (out (native-path (job-source job))
                         :direction :output :if-exists :supersede :external-format :utf-8)
      (write-string (source-text joined) out))
    (set-write-date (job-source job))
    joined))

(defun set-write-date (path)
  "Give the file at PATH the date that all inputs of an action have: it gets into the FASL."
  (let ((seconds (parse-integer (or (bazel.sbcl:getenv "SOURCE_DATE_EPOCH") "0") :junk-allowed t))
        (times (sb-alien:make-alien sb-alien:long 2)))
    (setf (sb-alien:deref times 0) (or seconds 0)
          (sb-alien:deref times 1) (or seconds 0))
    (sb-alien:alien-funcall
     (sb-alien:extern-alien "utime" (function sb-alien:int sb-alien:c-string (* sb-alien:long)))
     path times)
    (sb-alien:free-alien times)))

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
               (debug-if-asked condition)
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
  (handler-case
      (let ((source (if (job-parts job) (join-parts job) (read-source (job-source job)))))
        (cond ((eql 0 (search (string (code-char #xFEFF)) (source-text source)))
               (setf (unit-source *unit*) source)
               (push (make-finding :text "it begins with a byte order mark, which Lisp takes for a symbol"
                                   :position 0
                                   :hint "save it as UTF-8 without one")
                     (unit-findings *unit*))
               nil)
              (t source)))
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
    (bazel.log:vv "~(~a~) ~(~s~): ~a" verdict (type-of condition) (condition-text condition))
    (ecase verdict
      (:fail (record condition (severity condition)))
      (:show (record condition (severity condition)
                     :fails-p (typep condition '(and warning (not style-warning)))))
      (:defer (pushnew (list (source-path (values (part-at (unit-source *unit*)
                                                           (or (compiler-position) 0))))
                             (nth-value 1 (undefined-function-p condition)))
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
    (debug-if-asked inner)
    (cond ((typep inner 'reader-error-in-file) (record-reader-error inner))
          (t (record condition :error :type (type-text inner) :hint (error-hint inner))
             (note-missing-input inner)))))

(defun error-hint (condition)
  "What may help against an error while a file compiles."
  (typecase condition
    (sb-ext:package-lock-violation
     "the package is locked: write the definition in a package of its own, or unlock it")
    (storage-condition (exhaustion-hint condition))
    (sb-ext:defconstant-uneql
     "a constant keeps its first value: define it once, or with a value that is `equalp` to the first")
    (package-error (package-hint condition))
    (sb-int:stream-decoding-error
     "encoding = \"latin-1\" (or another) of the target says how its files are written")
    ((satisfies asdf-condition-p) *asdf-hint*)
    ((satisfies foreign-library-condition-p) *foreign-library-hint*)
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
         (last (and (plusp (forms-read)) (last-form-start))))
    (if last (end-of-form source last) (form-position source 0 '()))))

(defun recorded-p (condition)
  "True if CONDITION was recorded when it was signalled."
  (typep condition 'sb-c:compiler-error))

(defun record-exhaustion (condition)
  "Record that memory ran out."
  (record condition :error :hint (exhaustion-hint condition)))

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

(defun forms-read ()
  "How many top-level forms were read."
  (or (ignore-errors
       (fill-pointer (sb-c::file-info-positions (sb-c::source-info-file-info sb-c::*source-info*))))
      0))

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
    (let ((entries (loop for (path name) in (unit-undefined *unit*)
                         collect (format nil "~a :undefined-function ~a"
                                         (readable path) (readable name)))))
      (when entries
        (format out "(~{(~a)~^~% ~})~%" (sort entries #'string<))))))

(defun readable (object)
  "OBJECT as `read` finds it again under standard syntax."
  (with-standard-io-syntax
    (let ((*package* (find-package "KEYWORD")) (*print-readably* nil))
      (prin1-to-string object))))

(defun write-hash (job)
  "Write the source's name, a zero byte, and its MD5."
  (mapc #'write-hash (job-parts job))
  (unless (job-parts job) (write-hash-of job)))

(defun write-hash-of (job)
  "Write the hash of JOB, which is of one file."
  (with-open-file (out (native-path (job-hash job))
                       :direction :output :if-exists :supersede :element-type '(unsigned-byte 8))
    (write-sequence (sb-ext:string-to-octets (job-source job) :external-format :utf-8) out)
    (write-byte 0 out)
    (write-sequence (sb-md5:md5sum-file (native-path (job-source job))) out)))
