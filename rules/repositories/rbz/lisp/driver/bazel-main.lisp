;;;; An action as a value, and the generic functions that do it: the package `BAZEL.MAIN`, which
;;;; users' methods join. The same functions run every Lisp action of a build.

(in-package "BAZEL.MAIN")

(defstruct action
  "One call of the compiler or of the saver: what it was told, and what came of it so far."
  (command :compile :type keyword)
  (args '() :type list)
  (output-files '() :type list)
  (source-files '() :type list)
  (processing-sources-p nil)
  (force-compilation-p nil)
  (precompile-generics-p nil)
  (save-runtime-options-p nil)
  (main-function nil)
  (block-compile-p nil)
  (compilation-mode :fastbuild :type (member :fastbuild :opt :dbg))
  (failures '() :type list)
  (deferred-warnings '() :type list)
  (muffled-infos-count 0 :type fixnum)
  (muffled-warnings-count 0 :type fixnum)
  (readtable *readtable* :type readtable))

(defmethod print-object ((action action) stream)
  (print-unreadable-object (action stream :type t)
    (format stream "~(~a~)~{ ~a~}" (action-command action) (action-output-files action))))

(defvar *action* nil
  "The action of this process.")

(defun count-muffled (condition)
  "Count CONDITION, which nobody hears of, in the current action."
  (when *action*
    (if (typep condition 'warning)
        (incf (action-muffled-warnings-count *action*))
        (incf (action-muffled-infos-count *action*)))))

(defvar *current-source-file* nil
  "The file that is being loaded or compiled.")

(defvar *compiled-sources* (make-hash-table :test 'equal)
  "The MD5 of each source that is in this image, by its path.")

(defgeneric init-action (action command)
  (:documentation "Called before anything else is done for ACTION.")
  (:method ((action action) command)
    (declare (ignore command))
    action))

(defgeneric process-file (action file type)
  (:documentation "Take the input FILE, a string, of TYPE, a keyword, into account: dependencies
first, then, when `action-processing-sources-p` is true, sources.")
  (:method ((action action) file type)
    (declare (ignore file type))
    nil))

(defgeneric finish-action (action command)
  (:documentation "Make the outputs of ACTION, when all files were processed."))

(defgeneric execute-command (command &rest arguments &key &allow-other-keys)
  (:documentation "Do what COMMAND, a keyword, says; ARGUMENTS are the options of a command line."))

(defun file-type (path)
  "The keyword of what follows the last dot of PATH."
  (let ((dot (position #\. path :from-end t)))
    (to-keyword (if dot (subseq path (1+ dot)) ""))))

(defun action-find-output-file (action type)
  "The output of ACTION whose name ends with a dot and TYPE."
  (find (to-keyword type) (action-output-files action) :key #'file-type))

;;; Features

(defun to-feature (feature)
  "The symbol that FEATURE stands for: a symbol, or a string that is read in the keyword package. A
package that it names is made if need be."
  (let ((value (etypecase feature
                 (symbol feature)
                 (string (let ((*package* (find-package "KEYWORD")) (*read-eval* nil))
                           (with-creating-find-package () (read-from-string feature)))))))
    (unless (and value (symbolp value)) (bazel.log:fatal "`~a` cannot be a feature." feature))
    value))

(defun add-feature (feature)
  "Add FEATURE to `*features*`."
  (pushnew (to-feature feature) *features*))

(defun add-features (string)
  "Add the features in STRING, with spaces between them."
  (mapc #'add-feature (split string)))

;;; Command lines as bazelisp writes them: `COMMAND --option value --flag …`, lists as one argument
;;; with spaces in it.

(defun parse-command-line (arguments)
  "The command in ARGUMENTS, a keyword, and its options as a property list; flags have the value t."
  (flet ((option-p (argument) (prefixp "-" argument)))
    (values (to-keyword (first arguments))
            (loop with rest = (rest arguments)
                  while rest
                  collect (to-keyword (string-left-trim "-" (pop rest)))
                  collect (if (or (null rest) (option-p (first rest))) t (pop rest))))))

(defun specified (path)
  "The lists in the file of specifications at PATH, by their keywords, as a property list."
  (with-open-file (stream (sb-ext:parse-native-namestring path) :external-format :utf-8)
    (let ((*read-eval* nil))
      (loop for form = (read stream nil)
            while form
            collect (first form)
            collect (rest form)))))

(defun command-parameters (options)
  "OPTIONS of a command line as the lines that our own parameter files have."
  (let ((options (append (when (getf options :specs) (specified (getf options :specs))) options))
        (parameters '()))
    (labels ((option (name) (getf options name))
             (elements (name) (let ((value (option name))) (if (stringp value) (split value) value)))
             (add (key value) (push (cons key value) parameters))
             (step-of (path) (format nil "~:[source~;fasl~] ~a" (eq (file-type path) :fasl) path)))
      (add :mode (string-downcase (or (option :compilation-mode) "fastbuild")))
      (add :verbose (if (stringp (option :verbose)) (option :verbose) "0"))
      (when (option :force) (add :force "1"))
      (when (option :interactive) (add :interactive "yes"))
      (when (option :coverage) (add :coverage "yes"))
      (when (option :block-compile)
        (add :block-compile (if (option :block-compile-specified-only) "specified" "all")))
      (dolist (feature '("bazel" "rbz")) (add :feature feature))
      (when (member (option :compilation-mode) '("opt" "dbg") :test #'equal)
        (add :feature (option :compilation-mode)))
      (dolist (feature (elements :features)) (add :feature feature))
      (dolist (name (elements :nowarn)) (add :nowarn name))
      (dolist (path (append (elements :deps) (elements :load))) (add :load (step-of path)))
      (dolist (path (elements :warnings)) (add :warnings path))
      (dolist (path (elements :hashes)) (add :hash-of path))
      (when (option :main) (add :main (option :main)))
      (when (option :precompile-generics) (add :precompile-generics "yes"))
      (when (option :save-runtime-options) (add :save-runtime-options "yes"))
      (let ((outs (elements :outs)) (srcs (elements :srcs)))
        (if srcs
            (dolist (job (compilations srcs outs))
              (dolist (line job) (add (car line) (cdr line))))
            (add :output (first outs)))))
    (nreverse parameters)))

(defun compilations (srcs outs)
  "The lines for compiling each of SRCS: the first FASL and file of warnings in OUTS, and the hash
of its own name."
  (flet ((out (type stem)
           (or (find-if (lambda (out)
                          (and (eq (file-type out) type)
                               (or (null stem)
                                   (string= stem (pathname-name (sb-ext:parse-native-namestring out))))))
                        outs)
               (bazel.log:fatal "There is no output of the type ~(~a~)." type))))
    (loop for src in srcs
          collect (list (cons :source src)
                        (cons :fasl (out :fasl nil))
                        (cons :warnings (out :warnings nil))
                        (cons :hash (out :hash (pathname-name (sb-ext:parse-native-namestring src))))))))
