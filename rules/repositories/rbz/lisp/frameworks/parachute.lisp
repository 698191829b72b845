;;;; Parachute: tests within tests; results are objects.

(defpackage "RBZ.TEST.PARACHUTE"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.PARACHUTE")

(defun cases ()
  "The tests of all packages that check something themselves, in the order of their definition."
  (loop for package in (call "ORG.SHIRAKUMO.PARACHUTE::TEST-PACKAGES")
        append (loop for test in (call "ORG.SHIRAKUMO.PARACHUTE::PACKAGE-TESTS" package)
                     when (call "ORG.SHIRAKUMO.PARACHUTE::TESTS" test)
                       collect (make-test-case (test-name test) :suites (parents test) :data test))))

(defun test-name (test)
  "The name of TEST, a symbol or a string."
  (call "ORG.SHIRAKUMO.PARACHUTE::NAME" test))

(defun parents (test)
  "The names of the tests that TEST is in, the outermost first."
  (let ((parent (call "ORG.SHIRAKUMO.PARACHUTE::PARENT" test)))
    (and parent (append (parents parent) (list (test-name parent))))))

(defun call-without-children (test function)
  "Call FUNCTION while TEST has no tests inside: they are cases of their own."
  (let ((slot (name "ORG.SHIRAKUMO.PARACHUTE::CHILDREN")))
    (let ((children (slot-value test slot)))
      (setf (slot-value test slot) '())
      (unwind-protect (funcall function)
        (setf (slot-value test slot) children)))))

(defun run-case (case)
  "Run the test of CASE, after those that it depends on."
  (let* ((test (case-data case))
         (report (call-without-children
                  test
                  (lambda ()
                    (handler-bind ((warning #'muffle-warning))
                      (call "ORG.SHIRAKUMO.PARACHUTE::TEST" test
                            :report (name "ORG.SHIRAKUMO.PARACHUTE::PLAIN")
                            :stream (make-broadcast-stream))))))
         (result (call "ORG.SHIRAKUMO.PARACHUTE::FIND-CHILD-RESULT" test report)))
    (tell result)
    ;; What ends a test early is no check, and says so only here.
    (when (and (eq (status result) :failed)
               (notany (lambda (check) (eq (status check) :failed)) (results result)))
      (erred :message (call "ORG.SHIRAKUMO.PARACHUTE::DESCRIPTION" result)))))

(defun status (result)
  "`:passed`, `:failed` or `:skipped`."
  (call "ORG.SHIRAKUMO.PARACHUTE::STATUS" result))

(defun results (result)
  "The results within RESULT."
  (coerce (call "ORG.SHIRAKUMO.PARACHUTE::RESULTS" result) 'list))

(defun slot (result slot)
  "The value of SLOT of RESULT, and true if it has one."
  (let ((slot (name (concatenate 'string "ORG.SHIRAKUMO.PARACHUTE::" slot))))
    (if (and slot (slot-exists-p result slot) (slot-boundp result slot))
        (values (slot-value result slot) t)
        (values nil nil))))

(defun tell (result)
  "Tell of RESULT and what is in it."
  (cond ((eq (status result) :skipped)
         (skipped :message (or (slot result "DESCRIPTION") "what it depends on did not pass")))
        ((is-a result "ORG.SHIRAKUMO.PARACHUTE::PARENT-RESULT") (mapc #'tell (results result)))
        (t (tell-check result))))

(defun tell-check (result)
  "Tell of RESULT, that of one check."
  (let ((form (slot result "EXPRESSION")) (message (slot result "DESCRIPTION")))
    (multiple-value-bind (value value-p) (slot result "VALUE")
      (multiple-value-bind (expected expected-p) (slot result "EXPECTED")
        (cond ((eq (status result) :passed) (passed :form form))
              ((typep (if (consp value) (first value) value) 'error)
               (erred :form form :condition (if (consp value) (first value) value)))
              (t (apply #'failed :form form :message message
                        (append (and expected-p
                                     (list :expected
                                           (if (call-if-there "COMPARISON-GEQ" result)
                                               expected
                                               (text (format nil "anything but ~s" expected)))))
                                (and value-p (list :actual value))))))))))

(defun call-if-there (reader result)
  "What READER says of RESULT; true if it says nothing."
  (multiple-value-bind (value value-p) (slot result reader) (if value-p value t)))

(define-framework "parachute" :cases 'cases :run 'run-case)
