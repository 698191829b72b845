;;;; The condition types and functions that `nowarn` names.
;;;;
;;;; SBCL gives few of its warnings a type of their own, and what it says changes from release to
;;;; release. So the names are made of tables, in `classification.lisp`: for each name the types that it
;;;; stands for, and parts of messages. A test provokes each entry.

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

(eval-when (:compile-toplevel :load-toplevel :execute)
  (defun merge-tables (table more)
    "The entries of TABLE, each with what its namesake in MORE adds to its lists."
    (loop for (name documentation . rest) in table
          for added = (rest (assoc name more))
          collect `(,name ,documentation
                          ,@(loop for key in '(:types :says :also)
                                  for values = (append (getf rest key) (getf added key))
                                  when values append (list key values))
                          ,@(when (getf rest :undefined)
                              (list :undefined (getf rest :undefined)))))))

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
