;;;; FiveAM: suites of tests, each with checks that leave objects behind.

(defpackage "RBZ.TEST.FIVEAM"
  (:use "COMMON-LISP" "RBZ.TEST"))

(in-package "RBZ.TEST.FIVEAM")

(defun find-test (name)
  "The test or suite of NAME."
  (if (symbolp name) (call "IT.BESE.FIVEAM::GET-TEST" name) name))

(defun cases ()
  "The tests in all suites, in the order of their definition; each once."
  (let ((seen (make-hash-table :test 'eq)) (found '()))
    (labels ((walk (suite path)
               (loop for test being the hash-values of (call "IT.BESE.FIVEAM::TESTS" suite)
                       using (hash-key name)
                     do (let ((test (find-test test)))
                          (cond ((is-a test "IT.BESE.FIVEAM::TEST-SUITE")
                                 (walk test (append path (list name))))
                                ((and test (not (gethash test seen)))
                                 (setf (gethash test seen) t)
                                 (push (make-test-case name :suites path :data test) found)))))))
      ;; What is in no suite is in the one called nil.
      (dolist (name (cons nil (reverse (value "IT.BESE.FIVEAM::*TOPLEVEL-SUITES*"))))
        (let ((suite (find-test name)))
          (when (is-a suite "IT.BESE.FIVEAM::TEST-SUITE") (walk suite (and name (list name)))))))
    (nreverse found)))

(defvar *values* '()
  "Of each failed check the expression, and if FiveAM tells, what was expected and what came, each in a
list.")

(defun note-values (arguments)
  "Remember the values in ARGUMENTS of the function that FiveAM calls when a check fails: the expression,
a format and its arguments. They are the form, its value, the predicate and what was expected, if no
reason of the user is in their place."
  (destructuring-bind (expression &optional format &rest rest) arguments
    (declare (ignore format))
    (let ((inner (if (and (consp expression) (eq (first expression) 'not) (consp (second expression)))
                     (second expression)
                     expression)))
      (when (and (= (length rest) 4) (consp inner) (= (length inner) 3)
                 (equal (third rest) (first inner))
                 (or (equal (first rest) (third inner)) (equal (first rest) (second inner))))
        (push (list expression (fourth rest) (second rest)
                    (if (eq inner expression) nil t))
              *values*)))))

(defun run-case (case)
  "Run the test of CASE, after those that it depends on."
  (let* ((*values* '())
         (test (case-data case))
         (results (with-values (("IT.BESE.FIVEAM::*ON-ERROR*" nil) ("IT.BESE.FIVEAM::*ON-FAILURE*" nil)
                                ("IT.BESE.FIVEAM::*DEBUG-ON-ERROR*" nil)
                                ("IT.BESE.FIVEAM::*DEBUG-ON-FAILURE*" nil)
                                ("IT.BESE.FIVEAM::*TEST-DRIBBLE*" (make-broadcast-stream)))
                    (with-calls-watched ("IT.BESE.FIVEAM::PROCESS-FAILURE" (arguments)
                                          (note-values arguments))
                      (call "IT.BESE.FIVEAM::RUN" test)))))
    (dolist (result (reverse results))
      (when (eq (call "IT.BESE.FIVEAM::TEST-CASE" result) test)
        (report result)))))

(defun slot (result name)
  "The slot NAME of RESULT, or nil."
  (let ((slot (name (concatenate 'string "IT.BESE.FIVEAM::" name))))
    (and slot (slot-exists-p result slot) (slot-boundp result slot) (slot-value result slot))))

(defun report (result)
  "Tell of RESULT, an object of FiveAM."
  (let* ((expression (slot result "TEST-EXPR")) (reason (slot result "REASON"))
         (known (find expression *values* :key #'first :test #'eq)))
    (cond ((is-a result "IT.BESE.FIVEAM::TEST-PASSED") (passed :form expression))
          ((is-a result "IT.BESE.FIVEAM::TEST-SKIPPED") (skipped :message reason))
          ((is-a result "IT.BESE.FIVEAM::UNEXPECTED-TEST-FAILURE")
           (let ((condition (slot result "ACTUAL-CONDITION")))
             (if (typep condition 'condition)
                 (erred :condition condition)
                 (erred :message reason))))
          (known
           (destructuring-bind (expected actual negated) (rest known)
             (failed :form expression :actual actual
                     :expected (if negated
                                   (text (format nil "anything but ~s" expected))
                                   expected))))
          (t (failed :form expression :message reason)))))

(define-framework "fiveam" :cases 'cases :run 'run-case)
