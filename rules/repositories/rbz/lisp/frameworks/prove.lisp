;;;; Prove: tests that `deftest` defines. What stands outside of one runs when its file is loaded.

(defpackage "RBZ.TEST.PROVE"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.PROVE")

(defun cases ()
  "The tests of all packages, in the order of their definition."
  (loop for package being the hash-keys of (value "PROVE.TEST::*PACKAGE-TESTS*")
          using (hash-value tests)
        append (loop for (name . function) in (reverse tests)
                     collect (make-test-case name :data (cons package function)))))

(defun run-case (case)
  "Run the test of CASE."
  (destructuring-bind (package . function) (case-data case)
    (let ((*package* package) (suite (make-instance (name "PROVE.SUITE::SUITE"))))
      (with-values (("PROVE.SUITE::*SUITE*" suite)
                    ("PROVE.TEST::*DEBUG-ON-ERROR*" nil)
                    ("PROVE.OUTPUT::*TEST-RESULT-OUTPUT*" (make-broadcast-stream)))
        (funcall function))
      (map nil #'tell (call "PROVE.SUITE::REPORTS" suite)))))

(defun tell (report)
  "Tell of REPORT and what is in it."
  (flet ((slot (name) (slot-value report (name (concatenate 'string "PROVE.REPORT::" name)))))
    (cond ((is-a report "PROVE.REPORT::COMPOSED-TEST-REPORT") (map nil #'tell (slot "CHILDREN")))
          ((not (call "PROVE.REPORT::TEST-REPORT-P" report)))
          ((call "PROVE.REPORT::SKIPPED-REPORT-P" report) (skipped :message (slot "DESCRIPTION")))
          ((not (call "PROVE.REPORT::FAILED-REPORT-P" report)) (passed))
          ((and (call "PROVE.REPORT::ERROR-REPORT-P" report) (typep (slot "GOT") 'condition))
           (erred :condition (slot "GOT")))
          (t (failed :message (slot "DESCRIPTION")
                     :expected (if (slot "NOTP")
                                   (text (format nil "anything but ~s" (slot "EXPECTED")))
                                   (slot "EXPECTED"))
                     :actual (slot "GOT"))))))

(define-framework "prove" :cases 'cases :run 'run-case)
