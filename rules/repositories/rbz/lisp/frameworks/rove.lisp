;;;; Rove: a suite for each package; assertions are objects.

(defpackage "RBZ.TEST.ROVE"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.ROVE")

(defun cases ()
  "The tests of all packages, in the order of their definition."
  (loop for suite in (call "ROVE/CORE/SUITE/PACKAGE::ALL-SUITES")
        append (loop for test in (call "ROVE/CORE/SUITE/PACKAGE::SUITE-TESTS" suite)
                     collect (make-test-case
                              test :suites (list (call "ROVE/CORE/SUITE/PACKAGE::SUITE-NAME" suite))
                                   :data suite))))

(defun call-in-suite (suite function)
  "Call FUNCTION between what SUITE says is to be done before and after its tests."
  (flet ((part (name) (call (concatenate 'string "ROVE/CORE/SUITE/PACKAGE::SUITE-" name) suite)))
    (when (part "SETUP") (funcall (part "SETUP")))
    (unwind-protect
         (unwind-protect
              (progn
                (loop for (nil . hook) in (reverse (part "BEFORE-HOOKS")) do (funcall hook))
                (funcall function))
           (loop for (nil . hook) in (reverse (part "AFTER-HOOKS")) do (funcall hook)))
      (when (part "TEARDOWN") (funcall (part "TEARDOWN"))))))

(defun run-case (case)
  "Run the test of CASE."
  (let* ((stats (make-instance (name "ROVE/CORE/STATS::STATS")))
         (suite (case-data case))
         (*package* (call "ROVE/CORE/SUITE/PACKAGE::SUITE-PACKAGE" suite)))
    (with-values (("ROVE/CORE/STATS::*STATS*" stats)
                  ("ROVE/CORE/ASSERTION::*DEBUG-ON-ERROR*" nil))
      (call-in-suite suite (call "ROVE/CORE/SUITE/PACKAGE::GET-TEST" (case-name case))))
    (tell stats)))

(defun tell (result)
  "Tell of the assertions in RESULT, a test or statistics."
  (dolist (list '("PASSED-TESTS" "FAILED-TESTS" "PENDING-TESTS"))
    (dolist (inner (call (concatenate 'string "ROVE/CORE/RESULT::" list) result))
      (if (is-a inner "ROVE/CORE/RESULT::ASSERTION")
          (tell-assertion inner)
          (tell inner))))
  ;; A test may have as many assertions as it should not, and none of them failed.
  (when (and (is-a result "ROVE/CORE/RESULT::FAILED-TEST")
             (null (call "ROVE/CORE/RESULT::FAILED-TESTS" result)))
    (failed :message "the number of assertions is not the planned one")))

(defun tell-assertion (assertion)
  "Tell of ASSERTION."
  (flet ((part (name) (call (concatenate 'string "ROVE/CORE/RESULT::ASSERTION-" name) assertion)))
    (let ((form (part "FORM")) (reason (part "REASON")))
      (cond ((is-a assertion "ROVE/CORE/RESULT::PASSED") (passed :form form))
            ((is-a assertion "ROVE/CORE/RESULT::PENDING") (skipped :message (part "DESCRIPTION")))
            ((typep reason 'condition) (erred :form form :condition reason))
            ((part "VALUES")
             (failed :form form :message (part "DESCRIPTION")
                     :actual (text (format nil "(~s~{ ~s~})" (first form) (argument-values form (part "ARGS") (part "VALUES"))))))
            (t (failed :form form :message (part "DESCRIPTION")))))))

(defun argument-values (form forms values)
  "Of VALUES, those of FORMS, the ones of the arguments of FORM: what is inside of one comes before it."
  (loop with start = 0
        for argument in (rest form)
        for found = (position argument forms :test #'equal :start start)
        when found
          collect (nth found values)
          and do (setf start (1+ found))))

(define-framework "rove" :cases 'cases :run 'run-case)
