;;;; A read-eval-print loop with what targets need loaded.
;;;;
;;;; rbz writes a file of parameters, and starts the driver as `repl FASL FILE ARGUMENT…`, ARGUMENTs
;;;; being those of the Lisp itself. Parameters, for all: `workspace DIR`, `outputs DIR` and
;;;; `repository NAME DIR`, where files are; `rbz PROGRAM`, `directory DIR` and `argument WORD`, how
;;;; the same file is written again; `server swank|slynk` with `server-loader PATH`, `server-port N`,
;;;; `port-file PATH` and `server-fasls DIR`. Then, for each target, what `repl.bzl` says; `failed
;;;; FASL` stands for a file that could not be built.
;;;;
;;;; Paths in FASLs are those that actions see. They are replaced by the paths of the files that they
;;;; mean, so that whoever asks for the place of a definition finds it.

(defpackage "RBZ.REPL"
  (:use "COMMON-LISP" "RBZ.PARAMETERS")
  (:export "START" "RELOAD"))

(in-package "RBZ.REPL")

(defvar *file* nil
  "The native path of the parameters.")

(defvar *parameters* '()
  "What the loop was told last.")

(defvar *loaded* (make-hash-table :test 'equal)
  "What was loaded: of each file, by its native path, the digest; modules by their steps.")

(defun start (arguments)
  "Load what the file of parameters that ARGUMENTS begin with says, and become the read-eval-print loop
of the implementation with the rest of them."
  (rbz.compiler:restore-compiler)
  (rbz.program:forget-finalizers)
  (sb-impl::finalizer-thread-start)
  (setf *file* (first arguments)
        *parameters* (read-parameters *file*)
        sb-ext:*posix-argv* (list* "sbcl" (rest arguments)))
  (let ((targets (targets *parameters*)))
    (prepare targets)
    (dolist (step (plan targets))
      (handler-case (perform step)
        (error (condition)
          (say "cannot load ~a: ~a" (step-path step) condition)))))
  (place-definitions)
  (offer-package)
  (start-server)
  (setf *package* (or (plain-package) *package*))
  (bazel.sbcl:default-toplevel-loop))

(defun say (control &rest arguments)
  "Tell the user something, beside what the loop itself prints."
  (format *error-output* "~&~?~%" control arguments)
  (finish-output *error-output*))

(defun offer-package ()
  "Let the user write `(rbz:reload)`, unless the name is taken."
  (unless (find-package "RBZ")
    (let ((package (make-package "RBZ" :use '())))
      (import 'reload package)
      (export 'reload package))))

;;; What there is

(defstruct target
  "A target: its parameters, in order, and the files that are loaded for itself."
  (label "" :type string)
  (parameters '() :type list)
  (files '() :type list))

(defstruct file
  "What is loaded for a target itself: a FASL, or its sources while it cannot be built."
  (fasl nil :type (or null string))
  (sources '() :type list))

(defun targets (parameters)
  "The targets that PARAMETERS describe, in order."
  (let ((targets '()))
    (loop for (key . value) in parameters
          for target = (first targets)
          do (case key
               (:target (push (make-target :label value) targets))
               (:fasl (push (make-file :fasl value) (target-files target)))
               (:failed (push (make-file) (target-files target)))
               (:source (push value (file-sources (first (target-files target)))))
               (t (when target (push (cons key value) (target-parameters target))))))
    (dolist (target targets (nreverse targets))
      (setf (target-parameters target) (nreverse (target-parameters target))
            (target-files target) (nreverse (target-files target)))
      (dolist (file (target-files target))
        (setf (file-sources file) (nreverse (file-sources file)))))))

(defun real-path (path)
  "The native path of the file that actions see at PATH."
  (flet ((below (directory rest) (concatenate 'string directory "/" rest))
         (begins (prefix) (eql (mismatch prefix path) (length prefix))))
    (cond ((begins "/") path)
          ((begins "rbz-out/") (below (parameter :outputs *parameters*) path))
          ((begins "external/")
           (let* ((end (or (position #\/ path :start 9) (length path)))
                  (directory (repository-directory (subseq path 9 end))))
             (if directory (below directory (subseq path (min (1+ end) (length path)))) path)))
          (t (below (parameter :workspace *parameters*) path)))))

(defun repository-directory (name)
  "The directory of the repository NAME, or nil."
  (loop for value in (parameters :repository *parameters*)
        for space = (position #\Space value)
        when (string= name value :end2 space)
          return (subseq value (1+ space))))

;;; Loading

(defun prepare (targets)
  "Make the image what code of TARGETS expects: features, and C libraries."
  (dolist (target targets)
    (let ((parameters (target-parameters target)))
      (dolist (feature (parameters :feature parameters))
        (bazel.main:add-feature feature))
      (let ((encoding (parameter :encoding parameters nil)))
        (when encoding
          (dolist (file (target-files target))
            (dolist (source (file-sources file))
              (rbz.source:note-encoding source encoding)))))))
  (rbz.c-libraries:open-c-libraries
   (loop for target in targets
         append (loop for (key . value) in (target-parameters target)
                      when (eq key :provided) collect (cons key value)
                      when (and (eq key :shared-object) (changed-p (real-path value)))
                        do (note-loaded (real-path value))
                        and collect (cons key (real-path value))))))

(defun plan (targets)
  "The steps that load TARGETS, in order, each once. A target that another one needs is loaded in its
place from its own files."
  (let ((by-fasl (make-hash-table :test 'equal))
        (seen (make-hash-table :test 'equal))
        (steps '()))
    (dolist (target targets)
      (let ((whole (parameter :whole (target-parameters target) nil)))
        (when whole (setf (gethash (format nil "fasl ~a" whole) by-fasl) target))))
    (labels ((add (step)
               (unless (gethash step seen)
                 (setf (gethash step seen) t)
                 (push step steps)))
             (add-own (target)
               (dolist (file (target-files target))
                 (if (file-fasl file)
                     (add (format nil "fasl ~a" (file-fasl file)))
                     (dolist (source (file-sources file))
                       (add (format nil "source ~a" source)))))))
      (dolist (target targets (nreverse steps))
        (dolist (step (parameters :load (target-parameters target)))
          (let ((requested (gethash step by-fasl)))
            (if requested (add-own requested) (add step))))
        (add-own target)))))

(defun step-path (step)
  "The path or name in STEP."
  (subseq step (1+ (position #\Space step))))

(defun shown-path (step)
  "The path or name in STEP, without the directories that all outputs are in."
  (let* ((path (step-path step))
         (bin (and (eql 0 (search "rbz-out/" path)) (search "/bin/" path))))
    (if bin (subseq path (+ bin 5)) path)))

(defun module-step-p (step)
  "True if STEP names a module of the implementation."
  (eql 0 (search "module " step)))

(defun key-of (step)
  "By what *LOADED* knows what STEP loads."
  (if (module-step-p step) step (real-path (step-path step))))

(defun perform (step)
  "Do STEP, and remember that."
  (let ((path (key-of step)))
    (handler-bind ((warning #'muffle-warning)
                   (sb-ext:defconstant-uneql #'rbz.loading:keep-equal-constant))
      (let ((*package* (find-package "COMMON-LISP-USER"))
            (*readtable* (copy-readtable nil)))
        (cond ((module-step-p step) (require (step-path step)))
              ((eql 0 (search "fasl " step)) (load (native-path path)))
              (t
               (say "loading the source of ~a" (step-path step))
               (let ((*default-pathname-defaults*
                       (native-path (format nil "~a/" (parameter :workspace *parameters*)))))
                 (load (native-path path)
                       :external-format (rbz.source:encoding-of (step-path step))))))))
    (note-loaded path)))

(defun digest (path)
  "The digest of the file at the native PATH; of anything else, nil."
  (ignore-errors (bazel.sbcl:md5sum-file (native-path path))))

(defun note-loaded (key)
  "Remember that what KEY names is loaded as it is now."
  (setf (gethash key *loaded*) (list (digest key))))

(defun changed-p (key)
  "True if what KEY names was never loaded, or is not what was."
  (let ((known (gethash key *loaded*)))
    (not (and known (equalp (first known) (digest key))))))

;;; Where definitions are

(defun place-definitions ()
  "Let every definition that was loaded name the file that it was compiled from, where that is now."
  (let ((names (make-hash-table :test 'equal))
        (dates (make-hash-table :test 'equal)))
    (flet ((place (object type)
             (let* ((index (slot-index type "NAMESTRING"))
                    (name (sb-kernel:%instance-ref object index)))
               (when (stringp name)
                 (let ((real (multiple-value-bind (known found) (gethash name names)
                               (if found known (setf (gethash name names) (real-name name))))))
                   (when real
                     (setf (sb-kernel:%instance-ref object index) real)
                     (when (eq type 'sb-c::debug-source)
                       ;; Who compares it with that of the file sees whether the file was edited since.
                       (setf (sb-kernel:%instance-ref object (slot-index type "CREATED"))
                             (or (gethash real dates)
                                 (setf (gethash real dates) (file-write-date real)))))))))))
      (sb-vm:map-allocated-objects
       (lambda (object widetag size)
         (declare (ignore size))
         (when (= widetag sb-vm:instance-widetag)
           (typecase object
             (sb-c::debug-source (place object 'sb-c::debug-source))
             (sb-c:definition-source-location (place object 'sb-c:definition-source-location)))))
       :all))))

(defun slot-index (type name)
  "Where the slot called NAME is in structures of TYPE."
  (sb-kernel:dsd-index
   (find name (sb-kernel:dd-slots (sb-kernel:find-defstruct-description type))
         :key #'sb-kernel:dsd-name :test #'string=)))

(defun real-name (name)
  "The namestring of the file that NAME, a path in a FASL, means; nil if it is one already."
  (unless (or (string= name "") (char= (char name 0) #\/) (find #\: name))
    (let ((path (native-path (real-path name))))
      (and (probe-file path) (namestring path)))))

(defun plain-package ()
  "The package that the targets' own sources are in, if there is just one; else nil."
  (let ((names '()))
    (dolist (target (targets *parameters*))
      (dolist (file (target-files target))
        (dolist (source (file-sources file))
          (setf names (union names (packages-in source) :test #'string=)))))
    (and names (null (rest names)) (find-package (first names)))))

(defun packages-in (source)
  "The names that `in-package` forms in SOURCE name, other than that of `cl-user`."
  (ignore-errors
   (with-open-file (stream (native-path (real-path source))
                           :external-format (rbz.source:encoding-of source))
     (loop for line = (read-line stream nil)
           while line
           for name = (and (eql 0 (search "(in-package" line :test #'char-equal))
                           (let ((*read-eval* nil) (*package* (find-package "KEYWORD")))
                             (ignore-errors (string (second (read-from-string line))))))
           when (and name (not (eq (find-package name) (find-package "COMMON-LISP-USER"))))
             collect name))))

;;; Loading again

(defun reload ()
  "Build the targets, and load what is not as it was when it was loaded, in order. Returns the paths of
the files that were loaded; nothing is loaded as long as the build fails."
  (unless (build)
    (format t "~&; nothing was loaded~%")
    (return-from reload nil))
  (setf *parameters* (read-parameters *file*))
  (let ((targets (targets *parameters*)) (loaded '()))
    (prepare targets)
    (unwind-protect
         (dolist (step (plan targets))
           (when (changed-p (key-of step))
             (format t "~&; loading ~a~%" (shown-path step))
             (with-simple-restart (continue "Go on without ~a." (shown-path step))
               (perform step)
               (push (shown-path step) loaded))))
      (when loaded (place-definitions)))
    (unless loaded (format t "~&; nothing has changed~%"))
    (nreverse loaded)))

(defun build ()
  "Have rbz build the targets and write the parameters again; true if all went well. What it says goes to
standard output."
  (let* ((process (sb-ext:run-program (parameter :rbz *parameters*)
                                      (append (parameters :argument *parameters*)
                                              (list (format nil "--prepare=~a" *file*)))
                                      :directory (native-path (parameter :directory *parameters*))
                                      :input nil :output :stream :error :output
                                      :external-format :utf-8 :wait nil))
         (output (sb-ext:process-output process)))
    (unwind-protect
         (loop for line = (read-line output nil)
               while line
               do (write-line line)
                  (finish-output))
      (close output)
      ;; If the user interrupts this, the build ends too.
      (when (sb-ext:process-alive-p process)
        (sb-ext:process-wait process)))
    (eql 0 (sb-ext:process-exit-code process))))

;;; Servers for editors

(defun start-server ()
  "Let editors connect, if that was asked for."
  (let ((kind (parameter :server *parameters* nil)))
    (when kind
      (handler-case (serve (string-upcase kind))
        (error (condition)
          (say "~a cannot be started: ~a" kind condition))))))

(defun serve (kind)
  "Start the server KIND, and write its port to a file that is there as long as this process."
  (let ((loader (parameter :server-loader *parameters* nil))
        (file (native-path (parameter :port-file *parameters*)))
        (process (sb-unix:unix-getpid)))
    (handler-bind ((warning #'muffle-warning))
      (let ((*standard-output* *error-output*))
        (when loader (load-server kind loader))
        (let ((port (funcall (intern "CREATE-SERVER" kind)
                             :port (parse-integer (parameter :server-port *parameters*))
                             :dont-close t)))
          (with-open-file (out file :direction :output :if-exists :supersede)
            (format out "~d~%" port))
          (push (lambda ()
                  (when (and (= process (sb-unix:unix-getpid)) (equal port (port-in file)))
                    (ignore-errors (delete-file file))))
                sb-ext:*exit-hooks*)
          (say "~(~a~) listens on port ~d" kind port))))))

(defun port-in (file)
  "The number in FILE, or nil."
  (ignore-errors (with-open-file (in file) (parse-integer (read-line in)))))

(defun load-server (kind loader)
  "Load the server KIND by its own LOADER; what it compiles goes where it always does, or to a directory
of rbz's if that cannot be written."
  (load (native-path loader))
  (let* ((package (format nil "~a-LOADER" kind))
         (directory (intern "*FASL-DIRECTORY*" package)))
    (handler-case (ensure-directories-exist (symbol-value directory))
      (error ()
        (let ((own (native-path (format nil "~a/" (parameter :server-fasls *parameters*)))))
          (setf (symbol-value directory) own)
          ;; That of some distributions leaves it to ASDF.
          (when (find-package "ASDF")
            (funcall (intern "INITIALIZE-OUTPUT-TRANSLATIONS" "ASDF")
                     `(:output-translations (t ,own) :ignore-inherited-configuration))))))
    (funcall (intern "INIT" package) :delete nil :reload nil)))
