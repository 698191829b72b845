;;;; The C libraries of an image: what is open while it is made, and what a program opens when it
;;;; starts.
;;;;
;;;; Parameters: `provided NAME` for each C library of the closure, `shared-object PATH` for what is
;;;; opened now, `opens PATH` for what the program opens, and `program PATH` for itself; these two as
;;;; they are called in a tree of runfiles. `linked yes` if the program is going to be linked.
;;;;
;;;; A program that is linked has its C libraries inside. Any other opens one shared object of them
;;;; all, which is beside it or in its runfiles: it holds no path of the directory that it was built in.

(in-package "RBZ.C-LIBRARIES")

(defvar *provided* '()
  "Names, such as `libz`, of libraries that are there without being opened.")

(defvar *program* nil
  "Path of the program in a tree of runfiles.")

(defvar *opened-at-start* '()
  "Paths, in a tree of runfiles, of the shared objects that the program opens when it starts.")

;;; While an action runs

(defun open-c-libraries (parameters)
  "Open what PARAMETERS name, and remember which libraries need not be opened."
  (setf *provided* (parameters :provided parameters))
  (dolist (path (parameters :shared-object parameters))
    (sb-alien:load-shared-object (native-path path) :dont-save t))
  (note-linked-files))

(defun library-name (pathname)
  "The name of the library in the file PATHNAME: `libz` of `/lib/libz.so.1` and of `libz`."
  (let* ((path (sb-ext:native-namestring pathname :as-file t))
         (file (subseq path (1+ (or (position #\/ path :from-end t) -1)))))
    (subseq file 0 (or (search ".so" file) (search ".dylib" file)))))

(defun open-unless-provided (open pathname &rest options)
  "Let code that opens a C library of the closure itself find that done: stands before
`load-shared-object`, which is OPEN."
  (if (member (library-name pathname) *provided* :test #'string=)
      (pathname pathname)
      (multiple-value-prog1 (apply open pathname options)
        (find-names-of-c))))

(sb-int:encapsulate 'sb-alien:load-shared-object :rbz 'open-unless-provided)

;;; When it is saved, and when it starts

(defun keep-c-libraries (parameters)
  "Let the program that is saved next open what PARAMETERS say, and what code opened by a path of
the build. One that is `linked` finds by itself what it uses of them."
  (keep-names-of-c (parameter :linked parameters nil))
  (setf *program* (parameter :program parameters nil)
        *opened-at-start* (remove-duplicates
                           (append (parameters :opens parameters) (opened-in-build))
                           :test #'string= :from-end t)
        sb-ext:*init-hooks* (remove 'start-c-libraries sb-ext:*init-hooks*))
  ;; The program's own hooks may call what is found here.
  (when (or *opened-at-start* (parameter :linked parameters nil))
    (push 'start-c-libraries sb-ext:*init-hooks*)))

(defun opened-in-build ()
  "What stays open by a path below the current directory: it is not saved as it is, but by its path
in a tree of runfiles."
  (loop with here = (format nil "~a/" (string-right-trim "/" (sb-unix:posix-getcwd)))
        for object in sb-sys:*shared-objects*
        for name = (sb-alien::shared-object-namestring object)
        for path = (cond ((eql (mismatch here name) (length here)) (subseq name (length here)))
                         ((and (position #\/ name) (char/= (char name 0) #\/)) name))
        when (and path *program* (not (sb-alien::shared-object-dont-save object)))
          do (setf (sb-alien::shared-object-dont-save object) t)
          and collect (path-in-runfiles path)))

(defun path-in-runfiles (path)
  "Where the file that an action sees at PATH is in a tree of runfiles."
  (when (eql 0 (search "rbz-out/" path))
    (loop repeat 3 do (setf path (subseq path (1+ (position #\/ path))))))
  (if (eql 0 (search "external/" path))
      (subseq path (length "external/"))
      (concatenate 'string (subseq *program* 0 (1+ (position #\/ *program*))) path)))

(defun start-c-libraries ()
  "Let C be called: the first that a program does."
  (use-linked-table)
  (open-at-start)
  (find-names-of-c))

(defun open-at-start ()
  "Open the C libraries of the program, or say why that cannot be, and end."
  (dolist (path *opened-at-start*)
    (let ((places (places-of path)))
      (handler-case
          (sb-alien:load-shared-object
           (native-path (or (find-if #'probe-file places :key #'native-path)
                            (error "it is none of ~{`~a`~^, ~}" places)))
           :dont-save t)
        (error (condition)
          (format *error-output* "~a: cannot open the C library `~a`: ~a~%"
                  (first sb-ext:*posix-argv*) path condition)
          (finish-output *error-output*)
          (sb-ext:exit :code 1 :abort t))))))

(defun places-of (path)
  "Where the shared object of the PATH in a tree of runfiles may be: in the tree that the program is
in, beside the program, and in the program's own tree."
  (let* ((program (sb-ext:native-namestring sb-ext:*core-pathname*))
         (directory (subseq program 0 (1+ (or (position #\/ program :from-end t) -1))))
         (root (- (length program) (length *program*)))
         (package (subseq *program* 0 (1+ (position #\/ *program* :from-end t)))))
    (flet ((join (&rest parts) (apply #'concatenate 'string parts)))
      (append
       (when (and (plusp root) (string= *program* program :start2 root))
         (list (join (subseq program 0 root) path)))
       (when (eql 0 (search package path))
         (list (join directory (subseq path (length package)))))
       (list (join program ".runfiles/" path))))))
