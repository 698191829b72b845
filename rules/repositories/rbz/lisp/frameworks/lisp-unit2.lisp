;;;; lisp-unit2: tests with tags; it signals each assertion.

(defpackage "RBZ.TEST.LISP-UNIT2"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.LISP-UNIT2")

(defun cases ()
  "All tests, in the order of their definition. Their tags are their suites."
  (loop for test in (call "LISP-UNIT2::LIST-TESTS")
        collect (make-test-case (call "LISP-UNIT2::NAME" test) :suites (tags test) :data test)))

(defun tags (test)
  "The list of the tags of TEST."
  (let ((tags (call "LISP-UNIT2::TAGS" test)))
    (if (listp tags) tags (list tags))))

(defun run-case (case)
  "Run the test of CASE."
  (flet ((watch (condition)
           (cond ((is-a condition "LISP-UNIT2::ASSERTION-PASS")
                  (passed :form (call "LISP-UNIT2::ASSERTION" condition)))
                 ((is-a condition "LISP-UNIT2::ASSERTION-FAIL")
                  (tell (call "LISP-UNIT2::FAILURE" condition))))))
    (handler-bind ((condition #'watch))
      (with-values (("COMMON-LISP::*DEBUGGER-HOOK*" nil))
        (call "LISP-UNIT2::RUN-TEST" (case-data case)))))
  (let* ((result (call "LISP-UNIT2::MOST-RECENT-RESULT" (case-data case)))
         (errors (call "LISP-UNIT2::ERRORS" result)))
    (dolist (condition (and errors (call "LISP-UNIT2::HEAD" errors)))
      (erred :condition condition))))

(defun tell (failure)
  "Tell of FAILURE, the object about an assertion."
  (flet ((part (name)
           (let ((values (call (concatenate 'string "LISP-UNIT2::" name) failure)))
             ;; The values of the form, in a list.
             (if (and (consp values) (null (rest values))) (first values) values))))
    (failed :form (call "LISP-UNIT2::FORM" failure)
            :expected (part "EXPECTED") :actual (part "ACTUAL")
            :message (extras (call "LISP-UNIT2::EXTRAS" failure)))))

(defun extras (extras)
  "What the user wants to be told with a failure: forms and their values, in turns."
  (when extras (format nil "~{~s => ~s~^, ~}" extras)))

(define-framework "lisp-unit2" :cases 'cases :run 'run-case)
