;;;; XLUnit: classes of tests; each method is one.

(defpackage "RBZ.TEST.XLUNIT"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.XLUNIT")

(defun test-classes (class)
  "The classes below CLASS, the first that was defined first."
  (reverse
   (loop for below in (sb-mop:class-direct-subclasses class)
         append (test-classes below)
         collect below)))

(defun cases ()
  "The methods of each class of tests, in the order of their definition."
  (loop for class in (test-classes (find-class (name "XLUNIT::TEST-CASE")))
        append (walk (call "XLUNIT::SUITE" (make-instance class)) (list (class-name class)))))

(defun walk (suite path)
  "The cases in SUITE, which stands at PATH."
  (loop for test in (call "XLUNIT::TESTS" suite)
        if (is-a test "XLUNIT::TEST-SUITE")
          append (walk test (append path (list (call "XLUNIT::TEST-SUITE-NAME" test))))
        else
          collect (make-test-case (call "XLUNIT::NAME" test) :suites path :data test)))

(defun run-case (case)
  "Run the test of CASE."
  (let* ((test (case-data case))
         (results (call "XLUNIT::RUN" test)))
    (dolist (failure (reverse (call "XLUNIT::FAILURES" results)))
      (let ((condition (call "XLUNIT::THROWN-CONDITION" failure)))
        (failed :form nil :message (message condition))))
    (dolist (failure (reverse (call "XLUNIT::ERRORS" results)))
      (erred :condition (call "XLUNIT::THROWN-CONDITION" failure)))
    (when (call "XLUNIT::WAS-SUCCESSFUL" results) (passed))))

(defun message (condition)
  "What CONDITION, a failed assertion, says."
  (let ((control (simple-condition-format-control condition)) (own (call "XLUNIT::MESSAGE" condition)))
    (format nil "~@[~?~]~@[~%~a~]" control (simple-condition-format-arguments condition) own)))

(define-framework "xlunit" :cases 'cases :run 'run-case)
