;;;; The condition types and functions that `nowarn` names.
;;;;
;;;; SBCL gives few of its warnings a type of their own, and what it says changes from release to
;;;; release. So there is one table, below: for each name the types that it stands for, as strings,
;;;; and parts of messages. A type that the SBCL at hand lacks counts for nothing, so entries for
;;;; older and newer ones may stand side by side. The table is right for 2.2.9; a test provokes each
;;;; entry.

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

(defun says-p (condition texts)
  "True if the message of CONDITION has one of TEXTS in it."
  (and texts
       (let ((message (message condition)))
         (loop for text in texts thereis (search text message :test #'char-equal)))))

(defun undefined-thing (condition)
  "The kind and the name of what a warning says is undefined: `:function`, `:variable` or `:type`,
and a name; nil for any other condition."
  (when (typep condition '(and warning simple-condition))
    (let ((message (message condition))
          (arguments (simple-condition-format-arguments condition)))
      (cond ((eql 0 (search "undefined ~(~A~)" message)) (values-list (subseq arguments 0 2)))
            ((eql 0 (search "~W more use~:P of undefined" message))
             (values (second arguments) (third arguments)))))))

(eval-when (:compile-toplevel :load-toplevel :execute)
  (defun known-type (name)
    "The type that the string NAME names, or nil if this SBCL has none of it."
    (let ((symbol (ignore-errors (let ((*package* (find-package "BAZEL.WARNING")))
                                   (read-from-string name)))))
      (and symbol (sb-ext:valid-type-specifier-p symbol) symbol))))

(defmacro define-classification (&body entries)
  "Define each of ENTRIES, `(name documentation &key types says undefined also)`, as the type of the
conditions that are of one of TYPES, or warnings or notes with one of the texts SAYS in their message,
or warnings that something of the kind UNDEFINED is not there, or of one of the types ALSO of this
table."
  `(progn
     ,@(loop for (name documentation . rest) in entries
             collect (destructuring-bind (&key types says undefined also) rest
                       (let ((predicate (intern (format nil "~a?" name) "BAZEL.WARNING")))
                         `(progn
                            (defun ,predicate (condition)
                              ,documentation
                              (or (typep condition '(or ,@(remove nil (mapcar #'known-type types))
                                                     ,@also))
                                  (and (typep condition '(or warning sb-ext:compiler-note))
                                       (or ,@(when says `((says-p condition ',says)))
                                           ,@(when undefined
                                               `((eq (undefined-thing condition) ,undefined)))))))
                            (deftype ,name ()
                              ,documentation
                              '(satisfies ,predicate))))))))

(define-classification
  (undefined-function-warning
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
   :types ("sb-c::inlining-dependency-failure"))
  (inlining-notinline
   "A call that could not be inlined, or an inline proclamation of what is declared notinline."
   :types ("sb-c::inlining-dependency-failure")
   :says ("is proclaimed NOTINLINE" "declared notinline"))
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
   :also (redefined-macro)))

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
