;;;; RT, the regression tester of MIT, in any of its versions: a test is a form and the values that it
;;;; should have.

(defpackage "RBZ.TEST.RT"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.RT")

(defun own (name)
  "The name of NAME in the version that is there."
  (concatenate 'string (if (find-package "REGRESSION-TEST") "REGRESSION-TEST::" "SB-RT::") name))

(defun cases ()
  "The tests, in the order of their definition."
  (loop for entry in (rest (value (own "*ENTRIES*")))
        unless (disabled-p entry)
          collect (make-test-case (call (own "NAME") entry) :data entry)))

(defun disabled-p (entry)
  "True if a note of ENTRY switches it off."
  (and (name (own "HAS-DISABLED-NOTE")) (call (own "HAS-DISABLED-NOTE") entry)))

(defun expected-values (entry)
  "The values that ENTRY should have."
  (call (own "VALS") entry))

(defun run-case (case)
  "Run the test of CASE."
  (let* ((entry (case-data case))
         (name (case-name case))
         (expected (expected-values entry))
         (form (call (own "FORM") entry))
         (actual '())
         (caught nil)
         (known (and (name (own "*EXPECTED-FAILURES*"))
                     (member name (value (own "*EXPECTED-FAILURES*")) :test #'equal))))
    (flet ((watch (arguments)
             ;; It calls itself with parts of the values.
             (when (eq (second arguments) expected) (setf actual (list (first arguments)))))
           (run ()
             (let ((*standard-output* (make-broadcast-stream)))
               (with-values (((own "*CATCH-ERRORS*") nil))
                 (call (own "DO-TEST") name)))))
      (handler-case
          (if (name (own "EQUALP-WITH-CASE"))
              (with-calls-watched ((own "EQUALP-WITH-CASE") (arguments) (watch arguments)) (run))
              (run))
        (error (condition) (setf caught condition))))
    (let ((failed (or caught (call (own "PEND") entry))))
      (cond ((and failed known) (skipped :message "it failed, as RT was told to expect"))
            (caught (erred :form form :condition caught))
            (failed
             (apply #'failed :form form :expected (shown expected)
                    (when actual (list :actual (shown (first actual))))))
            (t (passed :form form))))))

(defun shown (values)
  "VALUES as one reads them."
  (text (let ((*print-circle* t) (*print-length* 40) (*print-level* 8))
          (format nil "~:[no value~;~:*~{~s~^, ~}~]" values))))

(define-framework "rt" :cases 'cases :run 'run-case)
