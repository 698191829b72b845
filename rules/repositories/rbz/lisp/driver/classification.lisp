;;;; What SBCL signals, under the names that `nowarn` knows: one table for the SBCL that the rules are
;;;; tried with, and one with what is new in later ones.
;;;;
;;;; An entry is `(name documentation &key types says undefined also)`, see `define-classification`. Types are
;;;; strings: one that the SBCL at hand lacks counts for nothing, and so does a text that it never says. So
;;;; the table for a newer SBCL holds only what is added, and no types that are below one of the first.

(in-package "BAZEL.WARNING")

(eval-when (:compile-toplevel :load-toplevel :execute)
  (defparameter *sbcl-2.2*
    '((undefined-function-warning
     "A function that is undefined at the end of the file."
     :undefined :function)
    (undefined-variable-warning
     "A variable that is undefined."
     :undefined :variable)
    (undefined-type-warning
     "A type that is undefined at the end of the file."
     :undefined :type)
    (unused-variable
     "A variable that is never used, or only assigned."
     :says ("is defined but never used" "is assigned but never read"))
    (inline-used-before-definition
     "A call of a function that is declared inline only later, or a structure's accessor used too early."
     :says ("previously compiled. A declaration of NOTINLINE" "Previously compiled call"
            "no definition for it was seen"))
    (inlining-notinline
     "A call that could not be inlined, for whatever reason."
     :types ("sb-c::inlining-dependency-failure"))
    (compiler-macro-after-function-use
     "A compiler macro whose function was called before."
     :types ("sb-c::compiler-macro-application-missed-warning")
     :says ("compiled before a compiler-macro was defined for it"))
    (redefined-macro
     "A macro that is defined again, or after it was taken for a function."
     :types ("sb-kernel::redefinition-with-defmacro")
     :says ("being redefined as a macro when it was previously"))
    (redefined-function
     "A function that is defined again."
     :types ("sb-kernel::redefinition-with-defun"))
    (redefined-method
     "A method that is defined again."
     :types ("sb-kernel::redefinition-with-defmethod"))
    (redefined-generic
     "A generic function that is defined again."
     :types ("sb-kernel::redefinition-with-defgeneric"))
    (redefined-package
     "A `defpackage` that differs from the package as it is."
     :types ("sb-int::package-at-variance"))
    (redefine-warning
     "Anything that is defined again."
     :types ("sb-kernel::redefinition-warning"))
    (duplicate-definition
     "Something that is defined twice in one file."
     :types ("sb-int::duplicate-definition" "sb-int::same-file-redefinition-warning"))
    (redefined-structure
     "A structure that is defined again with other slots."
     :says ("change in instance length of class" "change in superclasses of class"
            "Clobbering the compiler's idea of the layout" "in the inheritance structure"))
    (changed-ftype-proclamation
     "A proclamation of a type that differs from an earlier one."
     :types ("sb-kernel::ftype-proclamation-mismatch-warning"
             "sb-kernel::type-proclamation-mismatch-warning")
     :says ("clobbers an earlier FTYPE proclamation"))
    (conflicting-ftype-declaration
     "A definition that does not fit its declared type."
     :says ("The previously declared FTYPE" "The definition has ~R" "The definition has no ~A, but"
            "The definition ~:[doesn't have~;has~]" "The definition lacks the"
            "conflicts with the definition's result type"
            "conflicting with the declared function return type"))
    (wrong-argument-count
     "A call with too few or too many arguments, or with keywords that are not there."
     :types ("sb-int::local-argument-mismatch")
     :says ("argument~:P, but wants" "arguments, but wants" "is not a known argument keyword"
            "with odd number of" "with an odd number of"))
    (optional-and-key
     "A lambda list with both &optional and &key."
     :types ("sb-kernel::&optional-and-&key-in-lambda-list"))
    (deleted-code
     "Code that can never run."
     :types ("sb-ext:code-deletion-note"))
    (format-arguments
     "A `format` whose arguments do not fit its control string."
     :types ("sb-int::format-args-mismatch"))
    (constant-modified
     "A destructive function on a constant."
     :types ("sb-int::constant-modified"))
    (type-style
     "A doubtful use of types."
     :types ("sb-int::type-style-warning"))
    (type-conflict
     "A value that cannot have the type that is asked of it."
     :types ("sb-int::type-warning"))
    (complex-lexical-environment
     "Code in a lexical environment that the interpreter or the compiler cannot take along."
     :types ("sb-kernel::lexical-environment-too-complex")
     :says ("lexical environment too hairy"))
    (implicit-generic
     "A method without a `defgeneric`; SBCL 2.2.9 knows the type but does not signal it."
     :types ("sb-ext:implicit-generic-function-warning"))
    (stack-allocate-note
     "Something that was declared dynamic-extent and cannot be allocated on the stack."
     :says ("not stack allocate"))
    (inline-expansion-limit
     "Inlining that stopped at its limit."
     :says ("*INLINE-EXPANSION-LIMIT*"))
    (deprecation
     "Something that is deprecated."
     :types ("sb-ext:deprecation-condition")
     :says ("deprecated"))
    (style
     "Any style warning."
     :types ("style-warning"))
    (uninteresting-condition
     "What nobody needs to hear of: notes, macros that are defined again, and the like."
     :types ("sb-ext:compiler-note" "sb-kernel::redefinition-with-defmacro"
             "sb-kernel::uninteresting-redefinition" "sb-int::slot-initform-type-style-warning"
             "sb-kernel::undefined-alien-style-warning")
     :also (redefined-macro))))

  (defparameter *sbcl-2.6*
    '((wrong-argument-count
       :says ("are not a known argument keywords")))))

(macrolet ((define ()
             `(define-classification ,@(merge-tables *sbcl-2.2* *sbcl-2.6*))))
  (define))

(defun undefined-function-p (condition)
  "True of a warning that a function is undefined at the end of the file; the name is the second
value."
  (multiple-value-bind (kind name) (undefined-thing condition)
    (when (eq kind :function) (values t name))))

(defun undefined-variable-p (condition)
  "True of a warning that a variable is undefined; the name is the second value."
  (multiple-value-bind (kind name) (undefined-thing condition)
    (when (eq kind :variable) (values t name))))

(defun show-notes (condition)
  "A handler that shows the compiler's notes."
  (when (typep condition 'sb-ext:compiler-note) :show))

(defun fail-stack-allocate-notes (condition)
  "A handler that fails where stack allocation did not happen."
  (when (typep condition 'stack-allocate-note) :fail))

(defun fail-inline-expansion-limit (condition)
  "A handler that fails where inlining stopped at its limit."
  (when (typep condition 'inline-expansion-limit) :fail))
