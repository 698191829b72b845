;;;; Fiasco: tests are functions, suites are tests that call others.

(defpackage "RBZ.TEST.FIASCO"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.FIASCO")

(defun children (test)
  "The tests and suites in TEST, in the order of their definition."
  (loop for child being the hash-values of (call "FIASCO::CHILDREN-OF" test) collect child))

(defun callable-p (test)
  "True if TEST can be called without arguments."
  (let ((lambda-list (call "FIASCO::LAMBDA-LIST-OF" test)))
    (or (null lambda-list) (member (first lambda-list) '(&key &optional &rest)))))

(defun cases ()
  "The tests that the suites call, in order."
  (let ((found '()))
    (labels ((walk (test path)
               (let ((name (call "FIASCO::NAME-OF" test)))
                 (cond ((children test)
                        (dolist (child (children test))
                          (when (call "FIASCO::AUTO-CALL?" child)
                            (walk child (append path (list name))))))
                       ((and (callable-p test) (not (suite-p test)))
                        (push (make-test-case name :suites path) found))))))
      (dolist (test (children (value "FIASCO::*ROOT-SUITE*"))) (walk test '())))
    (nreverse found)))

(defun suite-p (test)
  "True of a suite, even if nothing is in it."
  (or (eq (symbol-package (call "FIASCO::NAME-OF" test)) (find-package "FIASCO-SUITES"))
      (loop for suite being the hash-values of (value "FIASCO::*PACKAGE-BOUND-SUITES*")
              thereis (eq suite test))))

(defun run-case (case)
  "Run the test of CASE."
  (let* ((context (last-context case))
         (skipped (some (lambda (run) (call "FIASCO::SKIPPED-P" run))
                        (call "FIASCO::ALL-TEST-RUNS-OF" context)))
         (failures (reverse (call "FIASCO::FAILURES-OF" context))))
    (mapc #'report failures)
    ;; Successes leave no object.
    (cond (failures)
          (skipped (skipped))
          (t (passed)))))

(defun last-context (case)
  "Run the test of CASE; the object that Fiasco keeps of it."
  (with-values (("FIASCO::*DEBUG-ON-UNEXPECTED-ERROR*" nil)
                ("FIASCO::*DEBUG-ON-ASSERTION-FAILURE*" nil)
                ("FIASCO::*PRINT-TEST-RUN-PROGRESS*" nil)
                ("FIASCO::*CONTEXT*" nil))
    (funcall (case-name case))
    (value "FIASCO::*LAST-TEST-RESULT*")))

(defun report (failure)
  "Tell of FAILURE, a condition of Fiasco."
  (flet ((description ()
           (text-of (lambda (stream) (describe-object failure stream)))))
    (cond ((call "FIASCO::EXPECTED-P" failure) (skipped :message "it failed, as it says it does"))
          ((is-a failure "FIASCO::UNEXPECTED-ERROR")
           (erred :condition (call "FIASCO::ERROR-OF" failure)))
          ((is-a failure "FIASCO::FAILED-ASSERTION")
           (report-assertion failure (description)))
          (t (failed :form (first (call "FIASCO::FORM-OF" failure)) :message (description))))))

(defun report-assertion (failure description)
  "Tell of FAILURE of `is`: of a predicate of two arguments Fiasco keeps form and value of both."
  (let* ((form (call "FIASCO::FORM-OF" failure))
         (inner (second form))
         (arguments (simple-condition-format-arguments failure)))
    (if (and (consp inner) (= (length inner) 3) (= (length arguments) 5)
             (equal (second arguments) (second inner)) (equal (fourth arguments) (third inner)))
        (failed :form inner
                :expected (text (format nil "~(~a~) of both" (first inner)))
                :actual (text (format nil "~s and ~s" (third arguments) (fifth arguments))))
        (failed :form inner :message description))))

(defun text-of (writer)
  "What WRITER writes to a stream."
  (with-output-to-string (stream) (funcall writer stream)))

(define-framework "fiasco" :cases 'cases :run 'run-case)
