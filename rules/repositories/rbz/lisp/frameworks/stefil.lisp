;;;; Stefil: tests are functions, suites are tests that call others.

(defpackage "RBZ.TEST.STEFIL"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.STEFIL")

(defun own (name)
  "The name of NAME in the version that is there."
  (concatenate 'string (if (find-package "HU.DWIM.STEFIL") "HU.DWIM.STEFIL::" "STEFIL::") name))

(defun children (test)
  "The tests and suites in TEST, in the order of their definition."
  (loop for child being the hash-values of (call (own "CHILDREN-OF") test) collect child))

(defun callable-p (test)
  "True if TEST can be called without arguments."
  (let ((lambda-list (call (own "LAMBDA-LIST-OF") test)))
    (or (null lambda-list) (member (first lambda-list) '(&key &optional &rest)))))

(defun cases ()
  "The tests that the suites call, in order."
  (let ((found '()))
    (labels ((walk (test path)
               (let ((name (call (own "NAME-OF") test)))
                 (cond ((children test)
                        (dolist (child (children test))
                          (when (call (own "AUTO-CALL?") child)
                            (walk child (append path (list name))))))
                       ((callable-p test) (push (make-test-case name :suites path) found))))))
      (dolist (test (children (value (own "*ROOT-SUITE*")))) (walk test '())))
    (nreverse found)))

(defun run-case (case)
  "Run the test of CASE."
  (with-values (((own "*DEBUG-ON-UNEXPECTED-ERROR*") nil)
                ((own "*DEBUG-ON-ASSERTION-FAILURE*") nil)
                ((own "*PRINT-TEST-RUN-PROGRESS*") nil))
    (funcall (case-name case))
    (let ((failures (coerce (call (own "FAILURE-DESCRIPTIONS-OF") (value (own "*LAST-TEST-RESULT*")))
                            'list)))
      (mapc #'tell failures)
      ;; Successes leave no object.
      (unless failures (passed)))))

(defun tell (failure)
  "Tell of FAILURE, the description of an assertion or an error."
  (flet ((description () (with-output-to-string (stream) (describe-object failure stream))))
    (cond ((call (own "EXPECTED-P") failure) (skipped :message "it failed, as it says it does"))
          ((is-a failure (own "UNEXPECTED-ERROR"))
           (erred :condition (call (own "CONDITION-OF") failure)))
          (t (failed :form (call (own "FORM-OF") failure) :message (description))))))

(define-framework "stefil" :cases 'cases :run 'run-case)
