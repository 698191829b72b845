;;;; The program of a test that knows the cases: which of them run, and what becomes of them.

(in-package "RBZ.TEST")

(define-condition unfit (error)
  ((text :initarg :text :reader unfit-text)
   (hint :initarg :hint :initform nil :reader unfit-hint))
  (:documentation "The target does not say what is to be tested.")
  (:report (lambda (condition stream) (write-string (unfit-text condition) stream))))

(defun unfit (hint control &rest arguments)
  "Signal that the target is not a test as it stands."
  (error 'unfit :text (apply #'format nil control arguments) :hint hint))

;;; When the program is saved

(defun adapter-of (line)
  "Name, packages and path in LINE, the value of a parameter `adapter`: words, the packages joined by
commas, the path last."
  (let* ((first (position #\Space line))
         (second (position #\Space line :start (1+ first))))
    (values (subseq line 0 first)
            (split-pattern (subseq line (1+ first) second))
            (subseq line (1+ second)))))

(defun load-adapter (path)
  "Load the adapter at PATH, compiled, as if it were a source of the program."
  (let ((sb-ext:*evaluator-mode* :compile)
        (*package* (find-package "COMMON-LISP-USER"))
        (*readtable* (copy-readtable nil)))
    (handler-bind ((warning #'muffle-warning))
      (load (rbz.parameters:native-path path) :external-format :utf-8))))

(defun load-shipped (line)
  "Load the adapter that LINE names, and return its framework."
  (multiple-value-bind (name packages path) (adapter-of line)
    (declare (ignore packages))
    (load-adapter path)
    (find-framework name)))

(defun in-image-p (line)
  "True if a package of the framework in LINE is there."
  (some #'find-package (nth-value 1 (adapter-of line))))

(defun given-framework (name lines)
  "The framework called NAME, one of LINES."
  (let ((line (find name lines :key (lambda (line) (values (adapter-of line))) :test #'string=)))
    (cond ((null line)
           (unfit nil "there is no framework `~a`" name))
          ((in-image-p line) (load-shipped line))
          (t (unfit (format nil "the target that has ~(~a~) belongs into deps" name)
                    "`framework` is ~a, but nothing that the test depends on has the package ~{~a~^ or ~}"
                    name (nth-value 1 (adapter-of line)))))))

(defun own-framework (path)
  "The framework that the adapter of a user at PATH defines."
  (let ((before *frameworks*))
    (load-adapter path)
    (let ((new (ldiff *frameworks* before)))
      (if (= (length new) 1)
          (first new)
          (unfit "it calls (rbz.test:define-framework \"name\" :cases … :run …)"
                 "`framework_adapter`: ~a defines ~:[no framework~;~:*~d frameworks~]"
                 path (and new (length new)))))))

(defun found-framework (lines)
  "The one framework of LINES that has tests in this image."
  (let ((found '()))
    (dolist (line (remove-if-not #'in-image-p lines))
      (let ((framework (load-shipped line)))
        (when (or (framework-watch framework) (list-cases framework)) (push framework found))))
    ;; One that lists its tests is meant before one of which nobody knows whether it is used.
    (setf found (or (remove-if #'framework-watch found) found))
    (cond ((null found) nil)
          ((rest found)
           (unfit "framework = \"…\" says which is meant"
                  "tests of ~{~a~^ and of ~} are defined" (mapcar #'framework-name (reverse found))))
          (t (first found)))))

(defun list-cases (framework)
  "The cases of FRAMEWORK."
  (and (framework-cases framework) (funcall (framework-cases framework))))

(defun prepare (parameters)
  "The framework that PARAMETERS of a core ask for, and its cases; nil if they ask for none and none
has tests."
  (flet ((all (key) (rbz.parameters:parameters key parameters))
         (one (key) (rbz.parameters:parameter key parameters nil)))
    (let ((framework (cond ((one :own-adapter) (own-framework (one :own-adapter)))
                           ((one :framework) (given-framework (one :framework) (all :adapter)))
                           (t (found-framework (all :adapter))))))
      (when framework
        (values framework (prepare-cases framework (all :suite) (all :defined-in) (one :expression)))))))

(defun prepare-cases (framework suites sources expression)
  "The cases of FRAMEWORK in SUITES, with their places in SOURCES."
  (let ((name (framework-name framework)))
    (cond ((framework-watch framework)
           (when suites
             (unfit nil "`suites`: tests of ~a have no names" name))
           (unless expression
             (unfit "expression = \"(my-tests:run)\" names what runs them"
                    "tests of ~a cannot be listed before they run" name))
           '())
          (expression
           (unfit "suites = [\"…\"] chooses among them"
                  "`expression` and `framework` are both given: the tests of ~a are listed without one"
                  name))
          (t
           (let ((cases (list-cases framework)))
             (unless cases
               (unfit "the sources that define them belong into srcs, or their target into deps"
                      "~a knows no test" name))
             (let ((wrong (without-match suites cases)))
               (when wrong
                 (unfit (format nil "there are ~{`~a`~^, ~}" (known-names cases))
                        "`suites`: no test or suite is called `~a`" wrong)))
             (setf cases (select suites cases))
             (note-places cases sources)
             cases)))))

;;; When it runs

(defun environment (name)
  "The value of the variable NAME of the environment, nil if it is empty."
  (let ((value (sb-ext:posix-getenv name)))
    (and value (string/= value "") value)))

(defun touch (path)
  "Let there be a file at the native PATH."
  (when path
    (with-open-file (stream (rbz.parameters:native-path path)
                            :direction :output :if-exists :append :if-does-not-exist :create)
      (declare (ignorable stream)))))

(defun open-report (total)
  "The report of this process on TOTAL cases."
  (let* ((path (environment "XML_OUTPUT_FILE"))
         (binary (or (environment "TEST_BINARY") "test"))
         (total-shards (environment "TEST_TOTAL_SHARDS"))
         (name (format nil "~a~@[_shard_~a~]" binary
                       (and total-shards
                            (format nil "~d/~a" (1+ (parse-integer (environment "TEST_SHARD_INDEX")))
                                    total-shards)))))
    (make-report (and path
                      (open (rbz.parameters:native-path path)
                            :direction :io :if-exists :overwrite :if-does-not-exist :create
                            :element-type '(unsigned-byte 8)))
                 name total)))

(defun chosen-cases (cases)
  "Those of CASES that the environment asks for, and true if a filter left out all of them."
  (let* ((filter (environment "TESTBRIDGE_TEST_ONLY"))
         (matching (if filter (select (split-pattern filter) cases) cases))
         (total (environment "TEST_TOTAL_SHARDS")))
    (when total (touch (environment "TEST_SHARD_STATUS_FILE")))
    (when (and filter (null matching))
      (format t "no test matches the filter `~a`: there are ~{`~a`~^, ~}~%" filter (known-names cases)))
    (if total
        (shard matching (parse-integer (environment "TEST_SHARD_INDEX")) (parse-integer total))
        matching)))

(defun run-program (framework cases main)
  "Run CASES of FRAMEWORK, or MAIN under its eyes; true if all passed."
  (let ((mark (environment "TEST_PREMATURE_EXIT_FILE")))
    (touch mark)
    (prog1 (if (framework-watch framework)
               (run-watched framework main)
               (run-cases framework (chosen-cases cases)))
      (when mark (ignore-errors (delete-file (rbz.parameters:native-path mark)))))))

(defun run-cases (framework cases)
  "Run CASES, and report; true if all passed."
  (let ((report (open-report (length cases))))
    (begin-report report)
    (dolist (case cases)
      (let ((class (case-class case framework)))
        (note-begun report case class)
        (multiple-value-bind (checks seconds)
            (collect-checks (lambda () (funcall (framework-run framework) case)))
          (end-case report case class checks seconds))))
    (end-report report)))

(defun end-case (report case class checks seconds)
  "Report and print that CASE came to CHECKS."
  (let ((result (make-result :case case :class class :checks checks :seconds seconds)))
    (note-result report result)
    (fresh-line)
    (dolist (check (troubles result))
      (if (eq (check-verdict check) :skipped)
          (format t "test `~a` was skipped~@[: ~a~]~%" (case-path case) (check-message check))
          (print-check case check *standard-output*)))
    (finish-output)))

(defun end-report (report)
  "Say what all came to; true if everything passed."
  (when (report-stream report) (close (report-stream report)))
  (let ((failed (+ (report-failed report) (report-errors report))) (done (report-done report)))
    (format t "~&~d test case~:p: ~d passed~[~:;, ~:*~d failed~]~[~:;, ~:*~d skipped~]~%"
            done (- done failed (report-skipped report)) failed (report-skipped report))
    (finish-output)
    (zerop failed)))

(defun collect-checks (function)
  "Call FUNCTION. The checks that it told of, with what ended it early, and how many seconds it took."
  (let ((checks '())
        (start (get-internal-real-time)))
    (let ((*note* (lambda (check) (push check checks))))
      (call-ending-errors function))
    (values (nreverse checks) (seconds-since start))))

(defun call-ending-errors (function)
  "Call FUNCTION; what would end the program ends FUNCTION alone, and is told of as a check."
  (block nil
    (flet ((end (condition)
             (erred :condition condition)
             (unless (typep condition 'storage-condition)
               (sb-debug:print-backtrace :stream *standard-output* :count 40))
             (return)))
      (let ((sb-ext:*invoke-debugger-hook*
              (lambda (condition hook) (declare (ignore hook)) (end condition))))
        (handler-bind ((storage-condition #'end))
          (funcall function))))))

;;; A framework that is watched

(defun run-watched (framework main)
  "Call MAIN, and report each check that FRAMEWORK sees as a case; true if there were some and all
passed."
  (when (environment "TESTBRIDGE_TEST_ONLY")
    (format t "--test_filter has no effect: tests of ~a have no names~%" (framework-name framework)))
  (let ((report (open-report 0)) (class (framework-name framework)) (number 0)
        (rest (make-test-case "the rest")))
    (begin-report report)
    (flet ((note (check)
             (incf number)
             (end-case report
                       (make-test-case (or (check-name check)
                                           (if (check-form-p check)
                                               (cut (shown-form nil check) 100)
                                               (format nil "check ~d" number))))
                       class (list check) 0)
             (note-begun report rest class)))
      (note-begun report rest class)
      (let ((*note* #'note))
        (call-ending-errors (lambda () (funcall (framework-watch framework) main))))
      (when (zerop number)
        (note (make-check :verdict :error :name "checks" :message "no check ran")))
      ;; What had begun was nothing.
      (write-report report "" 0)
      (end-report report))))
