;;;; What belongs into a core, and whether it is sound.
;;;;
;;;; Parameters: `load STEP` for everything that belongs inside, `warnings PATH` for what was
;;;; undefined when it was compiled, `hash-of PATH` for the hashes of sources, `status PATH` for the
;;;; status of the workspace, `output PATH`, `lines PATH` for what is to be written of lines, `main TEXT` or `expression TEXT`, `helper PATH` for a
;;;; script that saves in place of us.

(in-package "RBZ.CORE")

(defvar *parameters* '()
  "What the action was told.")

(defun core-command (parameters &optional (command :core))
  "Do what PARAMETERS say; returns only if that fails."
  (let ((action (begin-action command parameters)))
    (setf *parameters* parameters)
    (dolist (path (parameters :status parameters)) (read-status path))
    (and (call-noting-code
          (lambda ()
            (process-steps parameters (lambda (step)
                                        (note-undefined-aliens step)
                                        (no-threads-p step)))))
         (progn
           (dolist (path (append (parameters :hash-of parameters)
                                 (parameters :warnings parameters)))
             (process-file action path (bazel.main::file-type path)))
           (sound-p))
         (finish-action action command))))

(defun test-command (parameters)
  "Run the tests that PARAMETERS tell of in this image; if they pass, write `output`, and return true."
  (let ((action (begin-action :core parameters)))
    (and (process-steps parameters)
         (progn
           (dolist (path (parameters :warnings parameters)) (process-file action path :warnings))
           (and (sound-p) (undefined-resolved-p action)))
         (tests-pass-p parameters)
         (with-open-file (stream (native-path (parameter :output parameters)) :direction :output)
           (write-line "passed" stream)))))

(defmethod finish-action ((action action) (command (eql :core)))
  (check-and-save action))

(defmethod finish-action ((action action) (command (eql :binary)))
  (check-and-save action))

(defun check-and-save (action)
  "Save the image of ACTION and end; returns nil if anything is wrong with it."
  (and (modes-agree-p *parameters*)
       (or (undefined-resolved-p action) (bazel.main::action-force-compilation-p action))
       (aliens-defined-p)
       (no-threads-p nil)
       (let ((toplevel (toplevel *parameters*))
             (lines (parameter :lines *parameters* nil)))
         (when toplevel
           (when lines (write-lines lines))
           (if (parameter :helper *parameters* nil)
               (save-with-helper toplevel)
               (save-image toplevel))))))

(defun save-image (toplevel)
  "Save the image as a program that starts with TOPLEVEL, and end."
  (let ((parameters (forget-action)))
    (when (parameter :precompile-generics parameters nil) (precompile-generics))
    (restore-defaults)
    (prepare-marks)
    (keep-c-libraries parameters)
    (when (string= (parameter :mode parameters "fastbuild") "opt") (remove-debug-information))
    (save-core (parameter :output parameters)
               :toplevel toplevel
               :executable (parameter :executable parameters nil)
               :image (parameter :image parameters nil)
               :runtime-options (parameter :save-runtime-options parameters nil)
               :compression (parameter :compression parameters nil))))

(defun forget-action ()
  "Return the parameters; from here on nothing of this action is in the image."
  (setf *action* nil
        rbz.verdict:*handlers* '())
  (shiftf *parameters* '()))

(defun save-with-helper (toplevel)
  "Let the function `save-and-exit` of the helper script save the image."
  (let* ((parameters (forget-action))
         (helper (parameter :helper parameters))
         (*package* (find-package "COMMON-LISP-USER")))
    (restore-defaults)
    (prepare-marks)
    (keep-c-libraries parameters)
    (load (native-path helper) :external-format :utf-8)
    (let ((function (find-symbol "SAVE-AND-EXIT" "COMMON-LISP-USER")))
      (flet ((flag (key) (and (parameter key parameters nil) t)))
        (cond ((and function (fboundp function))
               (prepare-to-save :image (flag :image))
               (funcall function (parameter :output parameters)
                        :toplevel toplevel
                        :save-runtime-options (flag :save-runtime-options)
                        :verbose (plusp bazel.log:*verbose*)
                        :precompile-generics (flag :precompile-generics)
                        :executable (flag :executable))
               (print-failure helper "`save-and-exit` returned and did not save the image"))
              (t
               (print-failure helper "the script does not define the function `save-and-exit` in the package cl-user"))))
      nil)))

(defun read-status (path)
  "Remember the lines of the file at the native PATH, each a key, a space and a value."
  (with-open-file (stream (native-path path) :external-format :utf-8)
    (loop for line = (read-line stream nil)
          while line
          do (let ((space (or (position #\Space line) (length line))))
               (push (cons (subseq line 0 space)
                           (subseq line (min (1+ space) (length line))))
                     *workspace-status*)))))

(defun modes-agree-p (parameters)
  "True unless features of two compilation modes are set."
  (cond ((and (member :opt *features*) (member :dbg *features*))
         (print-failure (parameter :target parameters "")
                        "both of the features :opt and :dbg are set: the program would be of two compilation modes")
         nil)
        (t t)))

(defun no-threads-p (step)
  "True unless a thread that loading STEP started is still running."
  (let ((threads (remove-if (lambda (thread)
                              (or (eq thread sb-thread:*current-thread*)
                                  (not (sb-thread:thread-alive-p thread))))
                            (sb-thread:list-all-threads))))
    (dolist (thread threads (null threads))
      (print-failure (if step (subseq step (1+ (position #\Space step))) "core")
                     (format nil "loading it started the thread `~a`, which is still running: a core cannot be saved with it"
                             (sb-thread:thread-name thread))
                     :hint "start it when the program starts, not when its code is loaded"))))

;;; What was undefined

(defun undefined-resolved-p (action)
  "True if every function that was undefined at compile time is there now, as a plain function."
  (let ((failed nil))
    (loop for (source nil name) in (action-deferred-warnings action)
          for complaint = (complaint name)
          when complaint
            do (setf failed t)
               (print-failure source complaint))
    (not failed)))

(defun complaint (name)
  "What is wrong with a call of NAME that was compiled before NAME was known; nil if nothing is."
  (let ((shown (let ((*package* (find-package "KEYWORD")) (*print-case* :downcase))
                 (prin1-to-string name))))
    (cond ((not (fboundp name))
           (format nil "undefined function: ~a" shown))
          ((and (symbolp name) (or (macro-function name) (special-operator-p name)))
           (format nil "~a is a macro, but was compiled as a function call: the file that defines it must come first" shown))
          ((compiler-macro-function name)
           (format nil "~a has a compiler macro, but was compiled as an ordinary call: the file that defines it must come first" shown))
          ((bazel.sbcl:inline-function-p name)
           (format nil "~a is inline, but was compiled as an ordinary call: the file that defines it must come first" shown))
          ((bazel.sbcl:function-has-transforms-p name)
           (format nil "~a is known to the compiler (a structure's accessor, say), but was compiled as an ordinary call: the file that defines it must come first" shown)))))

;;; Names of C that are nowhere

(define-condition bazel.warning:undefined-alien (style-warning)
  ((name :initarg :name :reader undefined-name))
  (:documentation "No C library defines a name that Lisp code uses.")
  (:report (lambda (condition stream)
             (format stream "no C library defines `~a`: `cdeps` of the target that uses it name the one that does"
                     (undefined-name condition)))))

(defvar *undefined-aliens* '()
  "The names of C that were undefined so far, each with the step after which it was.")

(defun note-undefined-aliens (step)
  "Remember which names of C are undefined after STEP was loaded, and were not used before."
  (dolist (name (undefined-aliens))
    (unless (assoc name *undefined-aliens* :test #'string=)
      (push (cons name step) *undefined-aliens*))))

(defun aliens-defined-p ()
  "True if every name of C is defined now, or nobody minds."
  (loop with undefined = (undefined-aliens)
        for (name . step) in (reverse (shiftf *undefined-aliens* '()))
        when (member name undefined :test #'string=)
          do (let ((*current-source-file* (step-path step)))
               (handler-bind ((bazel.warning:undefined-alien (lambda (condition)
                                                               (handle-warning condition)
                                                               (muffle-warning condition))))
                 (warn 'bazel.warning:undefined-alien :name name))))
  (sound-p))
