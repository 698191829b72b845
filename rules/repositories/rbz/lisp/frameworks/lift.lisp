;;;; LIFT: classes of tests, each with test cases by name.

(defpackage "RBZ.TEST.LIFT"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.LIFT")

(defun suite-path (suite)
  "The names of the suites above SUITE, and its own."
  (let ((top (find-class (name "LIFT::TEST-MIXIN"))))
    (loop for class = (find-class suite)
            then (find-if (lambda (above) (and (not (eq above top)) (subtypep above top)))
                          (sb-mop:class-direct-superclasses class))
          while class
          collect (class-name class) into path
          finally (return (reverse path)))))

(defun cases ()
  "The test cases of all suites."
  (loop for (suite . name) in (call "LIFT::COLLECT-TEST-CASES")
        collect (make-test-case name :suites (suite-path suite) :data suite)))

(defun run-case (case)
  "Run the test of CASE."
  (let* ((null (make-broadcast-stream))
         (result (with-values (("LIFT::*LIFT-DEBUG-OUTPUT*" null)
                               ("LIFT::*LIFT-STANDARD-OUTPUT*" null)
                               ("LIFT::*TEST-PRINT-TEST-CASE-NAMES*" nil))
                   (call "LIFT::RUN-TEST" :name (case-name case) :suite (case-data case)
                                          :break-on-errors? nil :break-on-failures? nil))))
    (flet ((problems (kind) (reverse (call (concatenate 'string "LIFT::" kind) result)))
           (test-condition (problem) (call "LIFT::TEST-CONDITION" problem)))
      (let ((failures (problems "FAILURES")) (errors (problems "ERRORS")))
        (dolist (problem failures)
          (if (typep (test-condition problem) 'condition)
              (failed :message (test-condition problem)
                      :condition (test-condition problem))
              (failed :message problem)))
        (dolist (problem errors) (erred :condition (test-condition problem)))
        (cond ((or failures errors))
              ((or (problems "SKIPPED-TEST-CASES") (problems "SKIPPED-TESTSUITES")) (skipped))
              ((or (problems "EXPECTED-FAILURES") (problems "EXPECTED-ERRORS"))
               (passed))
              (t (passed)))))))

(define-framework "lift" :cases 'cases :run 'run-case)
