;;;; What the program of a test and a test framework agree on: cases, checks, and who runs them.
;;;;
;;;; A framework is known by its adapter, a Lisp file that calls `define-framework`. It is loaded
;;;; when the program is saved, after the sources of the test, and names what the framework has by
;;;; strings, so that it can be read without it.

(in-package "RBZ.TEST")

(defstruct framework
  "How the tests of a framework are found and run."
  (name "" :type string)
  (cases nil :type (or null symbol function))
  (run nil :type (or null symbol function))
  (watch nil :type (or null symbol function)))

(defvar *frameworks* '()
  "The frameworks whose adapters were loaded.")

(defun define-framework (name &key cases run watch)
  "Let NAME, a string, be a framework. CASES is a function without arguments that lists its tests
by `make-test-case`, RUN one that runs a test case, and calls `passed`, `failed`, `erred` or
`skipped` for each of its checks. A framework whose tests have no names of their own has WATCH in
place of both: a function that calls its one argument, which runs all tests, and does the same for
each check."
  (unless (or watch (and cases run))
    (error "the framework ~s needs :cases and :run, or :watch" name))
  (setf *frameworks* (remove name *frameworks* :key #'framework-name :test #'string=))
  (push (make-framework :name name :cases cases :run run :watch watch) *frameworks*)
  name)

(defun find-framework (name)
  "The framework called NAME, or nil."
  (find name *frameworks* :key #'framework-name :test #'string=))

;;; Cases

(defstruct (test-case (:conc-name case-)
                      (:constructor make-test-case
                          (name &key suites data
                           &aux (package (and (symbolp name) (symbol-package name))))))
  "One test: its NAME, a symbol or a string; the names of the SUITES that it is in, the outermost
first; DATA for the adapter. PACKAGE is that of a symbol; PLACE says where it is defined."
  (name "" :read-only t)
  (suites '() :read-only t)
  (data nil :read-only t)
  (package nil :read-only t)
  (place nil))

(defstruct place
  "Where a test is defined: the path of the file, the line from 1, and the text of the form."
  (path "" :type string :read-only t)
  (line 1 :type unsigned-byte :read-only t)
  (text "" :type string :read-only t))

(defun shown-name (name)
  "NAME of a test or suite as it is shown: that of a symbol in lower case, without its package."
  (if (symbolp name)
      (string-downcase (symbol-name name))
      (princ-to-string name)))

(defun case-path (case)
  "The names of the suites of CASE and its own, with slashes between."
  (format nil "~{~a/~}~a" (mapcar #'shown-name (case-suites case)) (shown-name (case-name case))))

(defun case-class (case framework)
  "What JUnit calls the class of CASE: its suites, else its package, else the FRAMEWORK."
  (let ((package (case-package case)))
    (cond ((case-suites case) (format nil "~{~a~^.~}" (mapcar #'shown-name (case-suites case))))
          ((and package (not (eq package (find-package "KEYWORD"))))
           (string-downcase (package-name package)))
          (t (framework-name framework)))))

;;; Checks

(defstruct check
  "What came of one check of a case. FORM is what was checked; VERDICT `:passed`, `:failed`, `:error`
or `:skipped`. NAME is that of a test which a framework only tells when it ran."
  (verdict :passed :type (member :passed :failed :error :skipped))
  (name nil)
  (form nil)
  (form-p nil)
  (expected nil :type (or null string))
  (actual nil :type (or null string))
  (message nil :type (or null string))
  (condition-type nil :type (or null string)))

(defvar *note* (constantly nil)
  "The function that is called with each check.")

(defun note-check (verdict arguments)
  "Tell of a check with VERDICT that ARGUMENTS, a property list, describe."
  (destructuring-bind (&key name (form nil form-p) (expected nil expected-p) (actual nil actual-p)
                         message condition)
      arguments
    (funcall *note*
             (make-check :verdict verdict :name name :form form :form-p form-p
                         :expected (and expected-p (shown-value expected))
                         :actual (and actual-p (shown-value actual))
                         :message (or (and message (shown-text message))
                                      (and condition (rbz.report:condition-text condition)))
                         :condition-type (and condition (rbz.report:type-text condition))))
    (eq verdict :passed)))

(defun passed (&rest arguments)
  "Tell that a check passed. ARGUMENTS are those of `failed`."
  (note-check :passed arguments))

(defun failed (&rest arguments &key name form expected actual message condition)
  "Tell that a check failed: FORM is what was checked, EXPECTED and ACTUAL are values (strings that
`text` made are shown as they are), MESSAGE is what the framework has to say. NAME is for frameworks
that are watched."
  (declare (ignore name form expected actual message condition))
  (note-check :failed arguments))

(defun erred (&rest arguments)
  "Tell that CONDITION, an error that nobody expected, ended a case. ARGUMENTS are those of `failed`."
  (note-check :error arguments))

(defun skipped (&rest arguments)
  "Tell that a check or a case was skipped, MESSAGE says why. ARGUMENTS are those of `failed`."
  (note-check :skipped arguments))

(defstruct (text (:constructor text (string)))
  "A STRING that is shown as it is, in place of a value."
  (string "" :type string))

(defun call-printing-safely (function)
  "The string that FUNCTION makes of a value, whatever the value is: printing may fail, or never end."
  (handler-case
      (let ((*print-circle* t) (*print-length* 40) (*print-level* 8) (*print-readably* nil)
            (*print-pretty* nil) (*print-case* :downcase))
        (let ((shown (funcall function)))
          (if (> (length shown) 2000)
              (concatenate 'string (subseq shown 0 2000) "…")
              shown)))
    (error () "#<an object that cannot be printed>")))

(defun shown-value (value)
  "VALUE as it is shown."
  (if (text-p value)
      (shown-text (text-string value))
      (call-printing-safely (lambda () (prin1-to-string value)))))

(defun shown-text (object)
  "OBJECT, a message, as it is shown."
  (call-printing-safely (lambda () (princ-to-string object))))

;;; What adapters name by strings

(defun name (string)
  "The symbol that STRING names, `PACKAGE::SYMBOL` in the case of the symbols; nil if it is not there."
  (let* ((colons (or (search "::" string) (error "~s has no two colons" string)))
         (package (find-package (subseq string 0 colons))))
    (and package (find-symbol (subseq string (+ colons 2)) package))))

(defun existing-name (string)
  "The symbol that STRING names; an error if it is not there."
  (or (name string)
      (error "the test framework has no ~a: this version of it is not the one that rbz knows" string)))

(defun call (string &rest arguments)
  "The values of the function that STRING names for ARGUMENTS."
  (apply (existing-name string) arguments))

(defun value (string)
  "The value of the variable that STRING names."
  (symbol-value (existing-name string)))

(defun is-a (object string)
  "True if OBJECT is of the type that STRING names."
  (let ((type (name string))) (and type (typep object type))))

(defmacro with-values (bindings &body body)
  "Run BODY with variables bound: each of BINDINGS is a string that names one, and a form. Those that
are not there are left out."
  `(call-with-values (list ,@(loop for (string form) in bindings collect `(cons ,string ,form)))
                     (lambda () ,@body)))

(defun call-with-values (bindings function)
  "Call FUNCTION with variables bound."
  (let ((there (remove-if-not #'name bindings :key #'first)))
    (progv (mapcar (lambda (binding) (name (first binding))) there) (mapcar #'rest there)
      (funcall function))))

(defmacro with-calls-watched ((string (arguments &optional (values (gensym))) &body watch) &body body)
  "Run BODY; whenever the function that STRING names returned, WATCH is run, with the lists of its
ARGUMENTS and VALUES."
  `(call-with-calls-watched ,string
                            (lambda (,arguments ,values)
                              (declare (ignorable ,arguments ,values))
                              ,@watch)
                            (lambda () ,@body)))

(defun call-with-calls-watched (string watch function)
  "Call FUNCTION, and WATCH with arguments and values of each call of what STRING names."
  (let ((watched (existing-name string)))
    (sb-int:encapsulate watched 'rbz.test
                        (lambda (original &rest arguments)
                          (let ((values (multiple-value-list (apply original arguments))))
                            (funcall watch arguments values)
                            (values-list values))))
    (unwind-protect (funcall function)
      (sb-int:unencapsulate watched 'rbz.test))))
