;;;; The condition types and functions that `nowarn` names.
;;;;
;;;; SBCL gives few of its warnings a type of their own. Where there is one, the name stands for
;;;; it; else for the text of the message, up to what varies in it.

(in-package "BAZEL.WARNING")

(defun message (condition)
  "The constant part of what CONDITION says: its format control, else its whole text."
  (let ((control (and (typep condition 'simple-condition)
                      (simple-condition-format-control condition))))
    (cond ((stringp control) control)
          ;; SBCL wraps controls that it has looked at already.
          ((and control (fboundp 'sb-format::fmt-control-string)
                (ignore-errors (sb-format::fmt-control-string control))))
          (t (or (ignore-errors (let ((*print-pretty* nil)) (princ-to-string condition))) "")))))

(defun says-p (condition &rest texts)
  "True if the message of CONDITION has one of TEXTS in it."
  (let ((message (message condition)))
    (loop for text in texts thereis (search text message :test #'char-equal))))

(defun undefined-kind (condition)
  "`:function`, `:variable` or `:type` for a warning about something undefined, else nil."
  (when (and (typep condition '(and warning simple-condition))
             (eql 0 (search "undefined ~(~A~)" (message condition))))
    (first (simple-condition-format-arguments condition))))

(defmacro define-condition-name (name (condition) documentation &body body)
  "Define NAME as the type of those conditions for which BODY is true of CONDITION."
  (let ((predicate (intern (format nil "~a?" name) "BAZEL.WARNING")))
    `(progn
       (defun ,predicate (,condition)
         ,documentation
         (and (typep ,condition 'condition) (progn ,@body)))
       (deftype ,name () ,documentation '(satisfies ,predicate)))))

(defmacro define-condition-class (name class documentation)
  "Define NAME as the type of conditions of CLASS, a string, if this Lisp has it, else of none."
  (let ((symbol (ignore-errors (let ((*package* (find-package "BAZEL.WARNING")))
                                 (read-from-string class)))))
    `(deftype ,name ()
       ,documentation
       ',(if (and symbol (find-class symbol nil)) symbol nil))))

(define-condition-class inlining-dependency-failure-class "sb-c::inlining-dependency-failure"
  "SBCL's own type for calls that could not be inlined.")
(define-condition-class redefined-macro-class "sb-kernel::redefinition-with-defmacro"
  "SBCL's own type for a macro that is defined again.")
(define-condition-class ftype-mismatch-class "sb-kernel::ftype-proclamation-mismatch-warning"
  "SBCL's own type for function types.")
(define-condition-class type-mismatch-class "sb-kernel::type-proclamation-mismatch-warning"
  "SBCL's own type for variables' types.")

(defun undefined-function-p (condition)
  "True of a warning that a function is undefined at the end of the file."
  (eq (undefined-kind condition) :function))

(defun undefined-variable-p (condition)
  "True of a warning that a variable is undefined."
  (eq (undefined-kind condition) :variable))

(deftype undefined-function-warning ()
  "A function that is undefined at the end of the file."
  '(satisfies undefined-function-p))

(deftype undefined-variable-warning ()
  "A variable that is undefined."
  '(satisfies undefined-variable-p))

(define-condition-name undefined-type-warning (condition)
    "A type that is undefined at the end of the file."
  (eq (undefined-kind condition) :type))

(define-condition-name unused-variable (condition)
    "A variable or local function that is never used, or only assigned."
  (says-p condition "is defined but never used" "is assigned but never read"))

(define-condition-name inline-used-before-definition (condition)
    "A call of a function that is declared inline only later, or a structure's accessor used too early."
  (or (typep condition 'inlining-dependency-failure-class)
      (says-p condition "could not be inlined because")))

(define-condition-name inlining-notinline (condition)
    "An inline proclamation of what is declared notinline."
  (says-p condition "is proclaimed NOTINLINE" "declared notinline"))

(define-condition-class compiler-macro-after-function-use
  "sb-c::compiler-macro-application-missed-warning"
  "A compiler macro whose function was called before.")

(define-condition-name redefined-macro (condition)
    "A macro that is defined again, or after it was taken for a function."
  (or (typep condition 'redefined-macro-class)
      (says-p condition "being redefined as a macro when it was previously")))

(define-condition-class redefined-function "sb-kernel::redefinition-with-defun"
  "A function that is defined again.")
(define-condition-class redefined-method "sb-kernel::redefinition-with-defmethod"
  "A method that is defined again.")
(define-condition-class redefined-generic "sb-kernel::redefinition-with-defgeneric"
  "A generic function that is defined again.")
(define-condition-class redefine-warning "sb-kernel::redefinition-warning"
  "Anything that is defined again.")

(define-condition-class redefined-package "sb-int::package-at-variance"
  "A `defpackage` that differs from the package as it is.")

(define-condition-class duplicate-definition "sb-int::duplicate-definition"
  "Something that is defined twice in one file.")

(define-condition-name changed-ftype-proclamation (condition)
    "A type proclamation that differs from an earlier one."
  (or (typep condition 'ftype-mismatch-class) (typep condition 'type-mismatch-class)))

(define-condition-name conflicting-ftype-declaration (condition)
    "A definition that does not fit its declared type."
  (says-p condition "The previously declared FTYPE"))

(define-condition-name wrong-argument-count (condition)
    "A call with too few or too many arguments, or with keywords that are not there."
  (and (typep condition 'warning)
       (says-p condition "argument~:P, but wants" "was called with two arguments, but wants"
               "previously called with" "is not a known argument keyword"
               "with odd number of" "The function was called with")))

(define-condition-class optional-and-key "sb-kernel::&optional-and-&key-in-lambda-list"
  "A lambda list with both &optional and &key.")

(define-condition-class deleted-code "sb-ext:code-deletion-note"
  "Code that can never run.")

(define-condition-class type-style "sb-int::type-style-warning"
  "A doubtful use of types.")

(define-condition-class type-conflict "sb-int::type-warning"
  "A value that cannot have the type that is asked of it.")

(define-condition-class complex-lexical-environment "sb-kernel::lexical-environment-too-complex"
  "An inline function in an environment that cannot be saved.")

(define-condition-class implicit-generic "sb-ext:implicit-generic-function-warning"
  "A method without a `defgeneric`.")

(define-condition-class format-arguments "sb-int::format-args-mismatch"
  "A `format` whose arguments do not fit its control string.")

(define-condition-class constant-modified "sb-int::constant-modified"
  "A destructive function on a constant.")

(define-condition-name stack-allocate-note (condition)
    "Something that was declared dynamic-extent and cannot be allocated on the stack."
  (and (typep condition 'sb-ext:compiler-note) (says-p condition "stack allocate")))

(define-condition-name inline-expansion-limit (condition)
    "Inlining that stopped at its limit."
  (says-p condition "*INLINE-EXPANSION-LIMIT*"))

(define-condition-class deprecation "sb-ext:deprecation-condition"
  "Something that is deprecated.")

(deftype style ()
  "Any style warning."
  'style-warning)

(deftype uninteresting-condition ()
  "What portable code cannot well avoid."
  '(or optional-and-key implicit-generic complex-lexical-environment compiler-macro-after-function-use
    deleted-code))

(defun show-notes (condition)
  "A handler that shows the compiler's notes."
  (when (typep condition 'sb-ext:compiler-note) :show))

(defun fail-stack-allocate-notes (condition)
  "A handler that fails where stack allocation did not happen."
  (when (typep condition 'stack-allocate-note) :fail))

(defun fail-inline-expansion-limit (condition)
  "A handler that fails where inlining stopped at its limit."
  (when (typep condition 'inline-expansion-limit) :fail))
