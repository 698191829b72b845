;;;; What becomes of a condition while a file is compiled or loaded.
;;;;
;;;; The handlers named by `nowarn` are asked first, in their order, then the built-in rules. A
;;;; handler's name is read in `BAZEL.WARNING` when the first condition turns up, for only then
;;;; are the packages of the dependencies there.

(in-package "RBZ.VERDICT")

(defvar *handlers* '()
  "The entries of `nowarn`, in order; strings, which become types or functions when first used.")

(define-condition unknown-handler (error)
  ((name :initarg :name :reader handler-name))
  (:documentation "An entry of `nowarn` names neither a condition type nor a function.")
  (:report (lambda (condition stream)
             (format stream "`nowarn` names `~a`, which is neither a condition type nor a function."
                     (handler-name condition)))))

(defun handler (name)
  "The function of one condition that NAME, an entry of `nowarn`, stands for."
  (let ((symbol (let ((*package* (find-package "BAZEL.WARNING")) (*read-eval* nil))
                  (handler-case (read-from-string name)
                    (error () (error 'unknown-handler :name name))))))
    (cond ((not (symbolp symbol)) (error 'unknown-handler :name name))
          ((type-name-p symbol) (lambda (condition) (typep condition symbol)))
          ((fboundp symbol) (fdefinition symbol))
          (t (error 'unknown-handler :name name)))))

(defun type-name-p (symbol)
  "True if SYMBOL names a type."
  (and (or (find-class symbol nil) (sb-ext:valid-type-specifier-p symbol)) t))

(defun asked (condition)
  "What the handlers of `nowarn` say of CONDITION: `:show`, `:fail`, `:muffle`, or nil."
  (setf *handlers* (mapcar (lambda (entry) (if (stringp entry) (handler entry) entry)) *handlers*))
  (loop for handler in *handlers*
        for verdict = (funcall handler condition)
        when verdict
          return (case verdict ((:show :fail) verdict) (t :muffle))))

(defun asked-of-other (condition)
  "What the handlers of `nowarn` say of a CONDITION that is neither a warning nor a note: `:show`,
`:fail` or nil. Such conditions are also signalled before the packages of handlers are there."
  (when (notany #'stringp *handlers*)
    (let ((verdict (asked condition)))
      (and (member verdict '(:show :fail)) verdict))))

(defun compile-verdict (condition)
  "What to do with CONDITION, signalled while the file itself compiles: `:fail`, `:show`,
`:muffle` or `:defer`."
  (or (asked condition)
      (typecase condition
        ((or stack-allocate-note inline-expansion-limit) :fail)
        (uninteresting-condition :muffle)
        (undefined-function-warning :defer)
        (t (if (find-restart 'muffle-warning condition) :fail :muffle)))))

(defun load-verdict (condition)
  "What to do with CONDITION, signalled while something else is loaded: `:fail`, `:show` or
`:muffle`. What says that the image would not be what the compiled file expects is kept."
  (if (typep condition '(or redefined-function redefined-package conflicting-ftype-declaration
                         inline-used-before-definition compiler-macro-after-function-use))
      (or (asked condition)
          (if (and (find-restart 'muffle-warning condition)
                   (not (typep condition 'uninteresting-condition)))
              :fail
              :muffle))
      :muffle))

(defun muffle (condition)
  "Let nobody else see CONDITION."
  (let ((restart (find-restart 'muffle-warning condition)))
    (when restart (invoke-restart restart))))

(defparameter *names-by-precision*
  '(undefined-variable-warning undefined-function-warning undefined-type-warning unused-variable
    inline-used-before-definition inlining-notinline compiler-macro-after-function-use
    redefined-macro redefined-function redefined-method redefined-generic redefined-package
    redefined-structure duplicate-definition changed-ftype-proclamation conflicting-ftype-declaration
    wrong-argument-count optional-and-key format-arguments constant-modified type-style
    type-conflict complex-lexical-environment implicit-generic stack-allocate-note
    inline-expansion-limit deprecation redefine-warning deleted-code style)
  "The types of conditions that can be named in `nowarn`, the most telling first.")

(defun nowarn-name (condition)
  "The entry of `nowarn` that would silence CONDITION, and as little else as can be."
  (let ((name (find-if (lambda (name) (typep condition name)) *names-by-precision*))
        (package (symbol-package (type-of condition))))
    (cond ((and name (not (and (eq name 'style) package (not (sb-int:system-package-p package)))))
           (string-downcase name))
          ((find-restart 'muffle-warning condition)
           (let ((*package* (find-package "BAZEL.WARNING")) (*print-case* :downcase))
             (prin1-to-string (type-of condition)))))))

(defun nowarn-hint (condition)
  "How to silence CONDITION, if that can be done."
  (let ((name (nowarn-name condition)))
    (when name (format nil "nowarn = [\"~a\"] silences it" name))))
