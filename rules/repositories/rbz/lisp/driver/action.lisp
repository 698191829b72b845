;;;; What all actions have in common: features, the files that are loaded before anything else is
;;;; done, and failures.

(in-package "RBZ.ACTION")

(defvar *dealt-with* '()
  "The parameters that the image this process was forked from has dealt with, in order.")

(defun begin-action (command parameters)
  "Make the action that PARAMETERS describe the current one, in an image that is ready for it. What was
dealt with before this process was forked is not done again."
  (setf *handlers* (parameters :nowarn parameters)
        bazel.log:*verbose* (or (parse-integer (parameter :verbose parameters "0") :junk-allowed t) 0))
  (cond (*action* (describe-action *action* parameters))
        (t
         (prepare-image)
         (when (eq command :compile) (prepare-to-compile))
         (open-c-libraries parameters)
         (setf *action* (bazel.main::make-action :command command))
         (describe-action *action* parameters)
         (init-action *action* command)
         (mapc #'add-feature (parameters :feature parameters))))
  (bazel.log:verbose "~(~a~) ~a" command (parameter :target parameters ""))
  (bazel.log:vv "features:~{ ~s~}" (parameters :feature parameters))
  (bazel.log:vvv "parameters:~{~%  ~s~}" parameters)
  *action*)

(defun describe-action (action parameters)
  "Let ACTION be what PARAMETERS say."
  (flet ((flag (key) (and (parameter key parameters nil) t)))
    (setf (action-args action) parameters
          (action-source-files action) (parameters :source parameters)
          (action-output-files action)
          (loop for (key . value) in parameters
                when (member key '(:output :fasl :warnings :hash))
                  collect value)
          (bazel.main::action-force-compilation-p action)
          (string/= (parameter :force parameters "0") "0")
          (bazel.main::action-precompile-generics-p action) (flag :precompile-generics)
          (action-save-runtime-options-p action) (flag :save-runtime-options)
          (action-main-function action) (parameter :main parameters nil)
          (bazel.main::action-block-compile-p action) (flag :block-compile)
          (action-compilation-mode action)
          (bazel.utils:to-keyword (parameter :mode parameters "fastbuild")))))

(defun sound-p ()
  "True as long as nothing failed, or if the action is to go on all the same."
  (or (null (action-failures *action*)) (bazel.main::action-force-compilation-p *action*)))

(defun note-failure (condition)
  "Remember that the action failed because of CONDITION, which was printed."
  (push (list *current-source-file* (type-of condition) condition) (action-failures *action*)))

;;; Steps

(defun steps (parameters)
  "What is to be loaded, in order: everything but what the image has inside or loaded before this
process was forked."
  (let ((inside (make-hash-table :test 'equal)))
    (dolist (step (parameters :inside parameters))
      (setf (gethash step inside) t))
    (remove-if (lambda (step) (gethash step inside))
               (nthcdr (count :load *dealt-with* :key #'first) (parameters :load parameters)))))

(defun step-path (step)
  "The path or name in STEP."
  (subseq step (1+ (position #\Space step))))

(defun process-steps (parameters &optional (check (constantly t)))
  "Process each step of PARAMETERS, and call CHECK with it; true if all went well."
  (loop for step in (steps parameters)
        do (process-step step)
        always (funcall check step)
        always (sound-p)))

(defun process-step (step)
  "Let the methods for its type process the file of STEP; load the module that it names."
  (let* ((path (step-path step))
         (space (position #\Space step))
         (colon (position #\: step :end space)))
    (when colon (note-encoding path (subseq step (1+ colon) space)))
    (bazel.log:verbose "load ~a" step)
    (if (eql 0 (search "module " step))
        (load-step step)
        (let ((*current-source-file* path))
          (process-file *action* path (bazel.main::file-type path))))))

(defmethod process-file ((action action) (file string) (type (eql :lisp)))
  (unless (and (action-processing-sources-p action) (eq (action-command action) :compile))
    (load-with-verdicts (format nil "source ~a" file))))

(defmethod process-file ((action action) (file string) (type (eql :lsp)))
  (process-file action file :lisp))

(defmethod process-file ((action action) (file string) (type (eql :cl)))
  (process-file action file :lisp))

(defmethod process-file ((action action) (file string) (type (eql :fasl)))
  (load-with-verdicts (format nil "fasl ~a" file)))

(defmethod process-file ((action action) (file string) (type (eql :hash)))
  (with-open-file (stream (native-path file) :element-type '(unsigned-byte 8))
    (let ((source (bazel.utils:read-stringz stream))
          (md5 (make-array 16 :element-type '(unsigned-byte 8))))
      (read-sequence md5 stream)
      (setf (gethash source *compiled-sources*) md5))))

(defmethod process-file ((action action) (file string) (type (eql :warnings)))
  (unless (eq (action-command action) :compile)
    (setf (action-deferred-warnings action)
          (append (action-deferred-warnings action) (read-deferred file)))))

(defun read-deferred (path)
  "The entries of the file of undefined functions at the native PATH. Packages that the image does
not have are made: what was in them is undefined."
  (with-open-file (in (native-path path) :external-format :utf-8)
    (with-standard-io-syntax
      (let ((*read-eval* nil) (*package* (find-package "KEYWORD")))
        (bazel.sbcl:with-creating-find-package (:use '())
          (read in nil '()))))))

(defun load-file (name &key fasl (action *action*))
  "Load the file NAME, or its FASL, as a dependency of ACTION."
  (let ((*action* action) (*current-source-file* name))
    (load-with-verdicts (format nil "~:[source ~a~;fasl ~:*~a~]" fasl name))))

(defun load-with-verdicts (step)
  "Load STEP; each of its warnings that is a failure is printed and noted."
  (flet ((judge (condition &aux (verdict (load-verdict condition)))
           (bazel.log:vvv "~(~a~) ~(~s~): ~a" verdict (type-of condition) (condition-text condition))
           (ecase verdict
             (:fail
              (print-failure (step-path step)
                             (format nil "while loading: ~a" (condition-text condition))
                             :condition condition :hint (nowarn-hint condition))
              (note-failure condition))
             (:show (print-failure (step-path step) (condition-text condition)
                                   :severity "warning" :condition condition))
             (:muffle (bazel.main::count-muffled condition)))
           (muffle condition)))
    (handler-case
        (handler-bind ((warning #'judge)
                       (sb-ext:compiler-note #'judge))
          (with-modules-refused () (load-step step)))
      (load-failed (condition) (note-failure condition)))))

(defun handle-warning (condition &optional (action *action*))
  "Judge CONDITION as if the file itself had signalled it, in the name of ACTION."
  (let ((*action* action))
    (ecase (compile-verdict condition)
      (:fail
       (print-failure (or *current-source-file* "lisp") (condition-text condition)
                      :condition condition :hint (nowarn-hint condition))
       (note-failure condition))
      (:show (print-failure (or *current-source-file* "lisp") (condition-text condition)
                            :severity "warning" :condition condition))
      ((:defer :muffle) (muffle condition)))))
