;;;; Loading what a compiled file depends on, each target in its own way.
;;;;
;;;; A step is a string: `source PATH`, `fasl PATH` or `module NAME`; `source:ENCODING PATH` is a
;;;; source that is not UTF-8. Sources are loaded by the
;;;; interpreter: the evaluator that compiles each form is a hundred times slower on macros.

(in-package "RBZ.LOADING")

(define-condition load-failed (error)
  ((step-text :initarg :step :reader failed-step)
   (cause :initarg :cause :reader failure-cause))
  (:documentation "A step failed; what CAUSE is has been printed already.")
  (:report (lambda (condition stream)
             (format stream "cannot load ~a: ~a"
                     (failed-step condition) (condition-text (failure-cause condition))))))

(defvar *interactive* nil
  "True if errors end up in the debugger.")

(defun debug-if-asked (condition)
  "Let the user look at CONDITION, if that is wanted."
  (when *interactive* (invoke-debugger condition)))

(defconstant +nursery+ (* 200 1024 1024)
  "How many bytes are allocated before garbage is collected.")

(defun use-large-pages ()
  "Ask the system for large pages of memory: a compiler follows pointers from one end of the heap to the
other, and looking pages up takes it a fifth of its time. Where there are none nothing is different."
  (sb-alien:alien-funcall
   (sb-alien:extern-alien "madvise" (function sb-alien:int sb-alien:unsigned-long
                                              sb-alien:unsigned-long sb-alien:int))
   sb-vm:dynamic-space-start (sb-ext:dynamic-space-size)
   ;; MADV_HUGEPAGE
   14))

(defun prepare-to-compile ()
  "Make the image ready to compile files, which may collect garbage at any time: where little memory is
free for each processor that is sooner."
  (let ((available (memory-available))
        ;; _SC_NPROCESSORS_ONLN
        (processors (sb-alien:alien-funcall
                     (sb-alien:extern-alien "sysconf" (function sb-alien:long sb-alien:int)) 84)))
    (when available
      (setf (sb-ext:bytes-consed-between-gcs)
            (min +nursery+ (max (floor +nursery+ 8) (floor available (* 16 (max 1 processors)))))))))

(defun memory-available ()
  "How many bytes of memory are free on this machine; nil if it does not say."
  (with-open-file (stream "/proc/meminfo" :if-does-not-exist nil)
    (when stream
      (loop for line = (read-line stream nil)
            while line
            when (eql 0 (search "MemAvailable:" line))
              return (* 1024 (parse-integer line :start 13 :junk-allowed t))))))

(defun prepare-image ()
  "Make the image what every file is compiled in: a fresh standard readtable, the interpreter."
  (setf sb-ext:*evaluator-mode* :interpret
        *readtable* (copy-readtable nil)
        *package* (find-package "COMMON-LISP-USER")
        *random-state* (sb-ext:seed-random-state 0)
        ;; Fewer collections: an action is short, and most of what it makes is garbage. When garbage
        ;; is collected decides what addresses objects have, which shows in cores.
        (sb-ext:bytes-consed-between-gcs) +nursery+)
  (use-large-pages)
  (when (fboundp '(setf sb-ext:readtable-base-char-preference))
    (funcall (fdefinition '(setf sb-ext:readtable-base-char-preference)) :both *readtable*))
  ;; What macros are made of is compiled for safety, whatever the policy of the code around them.
  (sb-ext:set-macro-policy '((speed 0) (safety 3)))
  (set-policy (loading-policy)))

(defun set-policy (qualities)
  "Make QUALITIES, an alist, the policy from here on."
  (proclaim `(optimize ,@(loop for (quality value) in qualities collect (list quality value)))))

(defun loading-policy ()
  "The policy under which everything but the compiled file itself is loaded."
  '((speed 1) (debug 1) (safety 1) (space 1) (compilation-speed 3)))

(defun load-step (text)
  "Load what TEXT, a step, names. Warnings are for the handlers of the caller."
  (let* ((space (position #\Space text))
         (way (intern (string-upcase (subseq text 0 (or (position #\: text :end space) space)))
                      :keyword))
         (what (subseq text (1+ space)))
         (sb-c::*policy* sb-c::*policy*))
    (ecase way
      (:source (load-file what :source))
      (:fasl (load-file what :fasl))
      (:module (require-module what)))))

(defvar *loaded-stream* nil
  "The stream of the source that is being loaded.")

(defun load-file (path way)
  "Load the file at the native PATH, a source or a FASL."
  (let ((*package* (find-package "COMMON-LISP-USER"))
        (*readtable* *readtable*)
        ;; `error` also takes conditions that no handler of errors sees.
        (sb-ext:*invoke-debugger-hook*
          (if *interactive*
              sb-ext:*invoke-debugger-hook*
              (lambda (condition hook)
                (declare (ignore hook))
                (report-load-error path way condition)
                (error 'load-failed :step path :cause condition)))))
    (block nil
      (handler-bind
          ((sb-ext:defconstant-uneql #'keep-equal-constant)
           (storage-condition (lambda (condition)
                                (report-load-error path way condition)
                                (error 'load-failed :step path :cause condition)))
           (error (lambda (condition)
                    (unless (typep condition 'load-failed)
                      (debug-if-asked condition)
                      (report-load-error path way condition)
                      (error 'load-failed :step path :cause condition)))))
        (if (eq way :source)
            (with-open-file (stream (native-path path) :external-format (encoding-of path))
              (let ((*loaded-stream* stream))
                (load stream)))
            (load (native-path path)))))))

(defun keep-equal-constant (condition)
  "Keep a constant that is defined again with an equal value."
  (when (equalp (sb-ext:defconstant-uneql-old-value condition)
                (sb-ext:defconstant-uneql-new-value condition))
    (invoke-restart 'continue)))

(defvar *error-reported* nil
  "True once the error that ends this process was printed.")

(defun report-load-error (path way condition)
  "Print that loading the file at PATH failed with CONDITION, at its place where one is known."
  (note-missing-input condition)
  (let* ((source (and (eq way :source) (read-source path)))
         (form (and source (loaded-form source)))
         (text (condition-text condition)))
    (if source
        (print-findings
         (list (make-finding :severity :error
                             :text (if (reader-failure-p condition)
                                       text
                                       (format nil "while loading: ~a" text))
                             :position (or (failure-position condition source) form)
                             :form-start form
                             :condition-type (type-text (innermost condition))
                             :hint (load-hint path way condition)))
         source)
        (print-failure path (format nil "while loading: ~a" text)
                       :condition condition :hint (load-hint path way condition)))))

(defun reader-failure-p (condition)
  "True of an error in the text of a file, as against one of the code in it."
  (typep condition '(and stream-error (or reader-error end-of-file))))

(defun failure-position (condition source)
  "Where in SOURCE CONDITION happened, if it is an error of the reader."
  (when (reader-failure-p condition)
    (ignore-errors
     (position-at-octet source
                        (max 0 (1- (file-position (stream-error-stream condition))))))))

(defun loaded-form (source)
  "Where in SOURCE the top-level form begins that is being read or evaluated."
  (ignore-errors
   (last-form-before source (position-at-octet source (file-position *loaded-stream*)))))

(defparameter *asdf-hint*
  "ASDF knows no system in a build: what it would load belongs into deps; what asks it for the system finds one after (asdf:defsystem \"name\" :version \"1\"), in a file before"
  "What to do about code that asks ASDF for systems.")

(defun asdf-condition-p (condition)
  "True of an error by which ASDF says that it knows no such system."
  (let ((package (symbol-package (type-of condition))))
    (and package (eql 0 (search "ASDF/" (package-name package))))))

(defun owner-text (path)
  "Which target has the source at PATH, in words."
  (let* ((external (eql 0 (search "external/" path)))
         (repository (and external (subseq path 9 (or (position #\/ path :start 9) (length path))))))
    (format nil "the target that has ~a in its srcs~@[, in the repository @~a~]"
            (subseq path (1+ (or (position #\/ path :from-end t) -1))) repository)))

(defparameter *foreign-library-hint*
  "name the C library that the code opens: cdeps = [\"@cc//:NAME\"] with cdeps_at_compile = True in its target; in docs/rules.md: C from Lisp"
  "What to do about code that cannot open a shared object.")

(defun foreign-library-condition-p (condition)
  "True of an error by which CFFI or the Lisp itself says that it cannot open a shared object."
  (or (string= (symbol-name (type-of condition)) "LOAD-FOREIGN-LIBRARY-ERROR")
      (search "Error opening shared object" (princ-to-string condition))))

(defun bundled-module (package)
  "The module that comes with the Lisp and has the package called PACKAGE, or nil."
  (flet ((begins (prefix) (eql 0 (search prefix package))))
    (cond ((or (string= package "UIOP") (begins "UIOP/")) "uiop")
          ((or (string= package "ASDF") (begins "ASDF/")) "asdf")
          ((and (begins "SB-")
                (probe-file (format nil "~acontrib/~(~a~).fasl" (sb-int:sbcl-homedir-pathname) package)))
           (string-downcase package)))))

(defun package-hint (condition)
  "What to do about CONDITION, an error about a package."
  (let* ((package (package-error-package condition))
         (name (if (packagep package) (package-name package) (string package)))
         (module (bundled-module name)))
    (cond ((typep condition 'sb-ext:name-conflict)
           "say in the package's definition which one is meant: (:shadowing-import-from package symbol), or (:shadow symbol)")
          ((search "is not external" (condition-text condition))
           "export it where the package is defined, or write two colons")
          ((find-package package) nil)
          (module (format nil "deps = [\"@lisp//:~a\"] brings it" module))
          ((member name '("QL" "QUICKLISP" "QUICKLISP-CLIENT") :test #'string=)
           "Quicklisp is not there in a build: what it would load belongs into deps")
          (t "the file that defines it must come before this one in srcs, or its target be in deps"))))

(defun load-hint (path way condition &aux (condition (innermost condition)))
  "What may help against CONDITION, which was signalled while the file at PATH was loaded."
  (cond ((asdf-condition-p condition) *asdf-hint*)
        ((foreign-library-condition-p condition) *foreign-library-hint*)
        ((typep condition 'sb-ext:package-lock-violation)
         "the package is locked: write the definition in a package of its own, or unlock it")
        ((typep condition 'package-error) (package-hint condition))
        ((and (eq way :source)
              (typep condition '(or undefined-function unbound-variable type-error control-error)))
         (format nil "this code runs while it is loaded, or needs what only compilation defines: load = \"fasl\" in ~a loads it compiled"
                 (owner-text path)))
        ((typep condition 'sb-ext:defconstant-uneql)
         "a constant keeps its first value: define it once, or with a value that is `equalp` to the first")
        ((typep condition 'storage-condition) (exhaustion-hint condition))))

(defun exhaustion-hint (condition)
  "Which attribute gives more of what ran out."
  (if (search "STACK" (symbol-name (type-of condition)))
      "control_stack_size of the target gives its actions a deeper stack"
      "dynamic_space_size of the target gives its actions more memory"))

;;; Bundled modules

(defvar *module-providers* sb-ext:*module-provider-functions*
  "How the implementation itself finds its modules.")

(defun require-module (name)
  "Load the module NAME that is bundled with the implementation."
  (let ((sb-ext:*module-provider-functions* *module-providers*)
        (sb-ext:*evaluator-mode* :compile))
    (handler-bind ((warning #'muffle-warning))
      (require name))))

(defun refuse-module (name)
  "Stand for the implementation's own providers: a module is there only if it is a dependency. True for a
system of others that is there: under ASDF `require` finds those too."
  (let ((bundled (bundled-module (string-upcase name))))
    (cond (bundled
           (error "the module `~a` is not a dependency of this target: add \"@lisp//:~a\" to its deps"
                  name bundled))
          ((find-package (string-upcase name)) t)
          (t (error "there is no module or system `~(~a~)`: the target that has the system belongs into deps"
                    name)))))

(defmacro with-modules-refused (() &body body)
  "Run BODY with `require` failing for modules that are not loaded yet."
  `(let ((sb-ext:*module-provider-functions* (list 'refuse-module)))
     ,@body))
