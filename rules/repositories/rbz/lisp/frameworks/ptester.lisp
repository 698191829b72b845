;;;; ptester, the test harness of Franz: checks in functions. It knows of no tests before they run.

(defpackage "RBZ.TEST.PTESTER"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.PTESTER")

(defun report (values arguments)
  "Tell of the check that the function of ptester which all checks call was given ARGUMENTS for, and
yielded VALUES: true for one that is as it should be."
  (destructuring-bind (&key test-form expected-result test-results multiple-values fail-info
                         known-failure wanted-message got-message condition condition-type
                       &allow-other-keys)
      arguments
    (let* ((condition (if (typep test-results 'condition) test-results condition))
           ;; The first says whether there was no error.
           (got (if (consp test-results) (rest test-results) '()))
           (details (list :form test-form
                          :expected (text (cond (wanted-message wanted-message)
                                                (condition-type
                                                 (format nil "~(~a~) is signalled" condition-type))
                                                (multiple-values
                                                 (format nil "~{~s~^, ~}" expected-result))
                                                (t (prin1-to-string expected-result))))
                          :actual (text (cond (got-message got-message)
                                              ((typep condition 'condition)
                                               (format nil "~(~a~): ~a" (type-of condition) condition))
                                              (condition-type "nothing is signalled")
                                              (t (format nil "~:[no value~;~:*~{~s~^, ~}~]" got)))))))
      (when fail-info (setf details (list* :message fail-info details)))
      (cond ((and (first values) known-failure)
             (apply #'failed :message "it passed, and is marked as a known failure" details))
            ((first values) (passed :form test-form))
            (known-failure (skipped :form test-form :message "a known failure"))
            (t (apply #'failed details))))))

(defun watch (run)
  "Call RUN, and tell of each check."
  ;; Otherwise an error that ends the tests is only printed.
  (with-values (("PTESTER::*BREAK-ON-TEST-FAILURES*" t) ("PTESTER::*ERROR-PROTECT-TESTS*" t))
    (with-calls-watched ("PTESTER::TEST-CHECK" (arguments values) (report values arguments))
      (let* ((hook sb-ext:*invoke-debugger-hook*)
             (sb-ext:*invoke-debugger-hook*
               (lambda (condition own)
                 (if (about-failure-p condition) (continue) (funcall hook condition own)))))
        (funcall run)))))

(defun about-failure-p (condition)
  "True of the condition by which ptester breaks off after a failure."
  (and (typep condition 'simple-condition)
       (member (name "PTESTER::*BREAK-ON-TEST-FAILURES*")
               (simple-condition-format-arguments condition))))

(define-framework "ptester" :watch 'watch)
