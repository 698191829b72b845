;;;; A stem: an image that has dealt with the first parameters of several actions, and forks their
;;;; processes. What all of them load is loaded once.
;;;;
;;;; It is asked over a socket, in messages of one word and open files:
;;;;
;;;; - `run`: fork the process of an action, into namespaces that are there;
;;;; - `stem`: fork another stem, which deals with more parameters and has a socket of its own.
;;;;
;;;; It says `ready` when it can be asked, and `forked` when it did so. One that fails just ends: then
;;;; actions run alone, and say themselves why they fail. What is forked enters its namespaces, gives up
;;;; the right to do so, and goes on as if it had been started alone.

(in-package "RBZ.STEM")

(defconstant +socket+ 3
  "The descriptor of the socket.")

(defun give-up ()
  "End without a word: whoever asked hears that the socket was closed."
  (sb-ext:exit :code 125 :abort t))

(defmacro call (name &rest arguments)
  "The value of the C function NAME, an int; each of ARGUMENTS is a type and a form. The process ends
if the function fails."
  `(let ((value (sb-alien:alien-funcall
                 (sb-alien:extern-alien ,name (function sb-alien:int ,@(mapcar #'first arguments)))
                 ,@(mapcar #'second arguments))))
     (if (minusp value) (give-up) value)))

(deftype descriptor () '(unsigned-byte 31))

;;; Messages

(defconstant +fds+ 7
  "The most files in a message.")

(defun receive ()
  "The word of the next message, and the list of its files; nil when nobody is left to ask."
  (let ((word (make-array 16 :element-type '(unsigned-byte 8)))
        (part (make-array 2 :element-type '(unsigned-byte 64)))
        ;; A header of 16 bytes, and the descriptors.
        (control (make-array 6 :element-type '(unsigned-byte 64) :initial-element 0))
        (header (make-array 7 :element-type '(unsigned-byte 64) :initial-element 0)))
    (sb-sys:with-pinned-objects (word part control header)
      (flet ((address (vector) (sb-sys:sap-int (sb-sys:vector-sap vector))))
        (setf (aref part 0) (address word)
              (aref part 1) (length word)
              (aref header 2) (address part)
              (aref header 3) 1
              (aref header 4) (address control)
              (aref header 5) (* 8 (length control)))
        (let ((length (call "recvmsg" (sb-alien:int +socket+)
                            (sb-sys:system-area-pointer (sb-sys:vector-sap header))
                            (sb-alien:int 0))))
          (unless (zerop length)
            (values (sb-ext:octets-to-string word :end length :external-format :utf-8)
                    (loop with sap = (sb-sys:vector-sap control)
                          for offset from 16 below (sb-sys:sap-ref-64 sap 0) by 4
                          collect (sb-sys:sap-ref-32 sap offset)))))))))

(defun reply (word)
  "Send WORD to whoever asks."
  (let ((octets (sb-ext:string-to-octets word :external-format :utf-8)))
    (sb-sys:with-pinned-objects (octets)
      (call "send" (sb-alien:int +socket+)
            (sb-sys:system-area-pointer (sb-sys:vector-sap octets))
            (sb-alien:unsigned-long (length octets))
            ;; MSG_NOSIGNAL: that nobody listens is heard in another way.
            (sb-alien:int #x4000)))))

(defun lines-of (descriptor)
  "The lines of the open file DESCRIPTOR."
  (with-open-stream (stream (sb-sys:make-fd-stream descriptor :input t :buffering :full
                                                              :external-format :utf-8))
    (loop for line = (read-line stream nil)
          while line collect line)))

;;; Processes

(defvar *directory* ""
  "The directory in which every process starts.")

(defvar *own-pids* 0
  "Our own namespace of process ids, an open file.")

(defun fork ()
  "Fork; true in the child."
  (zerop (call "fork")))

(defun fork-into (pids)
  "Fork a process whose parent is the first process of the namespace PIDS, an open file; true in it."
  (enter pids)
  (let ((middle (call "fork")) (status (make-array 1 :element-type '(unsigned-byte 32))))
    (cond ((plusp middle)
           (enter *own-pids*)
           (sb-sys:with-pinned-objects (status)
             (call "waitpid" (sb-alien:int middle)
                   (sb-sys:system-area-pointer (sb-sys:vector-sap status)) (sb-alien:int 0)))
           (unless (zerop (aref status 0)) (give-up))
           nil)
          ;; Whom its parent leaves gets the first process of the namespace for another.
          ((fork) t)
          (t (sb-ext:exit :code 0 :abort t)))))

(defun reap ()
  "Let processes go that have ended: stems that were forked here."
  (loop while (plusp (sb-alien:alien-funcall
                      (sb-alien:extern-alien "waitpid" (function sb-alien:int sb-alien:int
                                                                 sb-alien:unsigned-long sb-alien:int))
                      -1 0 1))))

(defun enter (namespace)
  "Enter NAMESPACE, an open file; of one of process ids, let children be in it."
  (call "setns" (sb-alien:int namespace) (sb-alien:int 0)))

(defun close-descriptors (descriptors)
  "Close DESCRIPTORS."
  (dolist (descriptor descriptors)
    (call "close" (sb-alien:int descriptor))))

(defun replace-descriptor (descriptor place)
  "Let the open file DESCRIPTOR have the number PLACE."
  (call "dup2" (sb-alien:int descriptor) (sb-alien:int place)))

(defun begin-process (namespaces output errors)
  "Let what was forked be a process of its own, in NAMESPACES, that writes to OUTPUT and ERRORS."
  (mapc #'enter namespaces)
  (call "chdir" (sb-alien:c-string *directory*))
  (call "setsid")
  (replace-descriptor output 1)
  (replace-descriptor errors 2))

(defun give-up-rights ()
  "Give up for ever what an ordinary user may not do."
  ;; PR_SET_NO_NEW_PRIVS
  (call "prctl" (sb-alien:int 38) (sb-alien:unsigned-long 1) (sb-alien:unsigned-long 0)
        (sb-alien:unsigned-long 0) (sb-alien:unsigned-long 0))
  ;; Version 3 of the structure, for this process: no capability in any of the sets.
  (let ((header (make-array 2 :element-type '(unsigned-byte 32)
                              :initial-contents '(#x20080522 0)))
        (none (make-array 6 :element-type '(unsigned-byte 32) :initial-element 0)))
    (sb-sys:with-pinned-objects (header none)
      (call "capset" (sb-sys:system-area-pointer (sb-sys:vector-sap header))
            (sb-sys:system-area-pointer (sb-sys:vector-sap none))))))

;;; What is asked for

(defun serve ()
  "Do what is asked for until nobody is left to ask. Only the process of an action returns from here:
the words of its command."
  (setf *directory* (sb-unix:posix-getcwd)
        *own-pids* (sb-unix:unix-open "/proc/self/ns/pid" sb-unix:o_rdonly 0))
  (reply "ready")
  (loop
    (multiple-value-bind (word files) (receive)
      (reap)
      (cond ((null word) (give-up))
            ((string= word "run")
             (destructuring-bind (words output errors pids &rest namespaces) files
               (when (fork-into pids)
                 (begin-process namespaces output errors)
                 (return (begin-action-process words files)))))
            ((string= word "stem")
             (destructuring-bind (lines output socket &rest namespaces) files
               (when (fork)
                 (replace-descriptor socket +socket+)
                 (begin-process namespaces output output)
                 (begin-stem lines files)
                 (setf files '())))))
      (when files
        (close-descriptors files)
        (reply "forked")))))

(defun begin-action-process (words files)
  "The words of the command in the open file WORDS, in a process that has nothing left of the stem: not
FILES, which came with the message, nor the right to enter namespaces."
  (let ((words (lines-of words)))
    (close-descriptors (list* +socket+ *own-pids* (rest files)))
    (give-up-rights)
    (setf sb-ext:*posix-argv*
          (append (ldiff sb-ext:*posix-argv* (member "stem" sb-ext:*posix-argv* :test #'string=))
                  words))
    words))

(defun begin-stem (lines files)
  "Deal with the parameters in the open file LINES, and say that this stem is ready."
  (reply "started")
  (close-descriptors (rest files))
  (unless (handler-case (deal-with (mapcar #'read-parameter (lines-of lines)))
            (serious-condition () nil))
    (give-up))
  (finish-output *standard-output*)
  (finish-output *error-output*)
  (reply "ready"))

(defun deal-with (parameters)
  "Do what PARAMETERS, the next ones, say; true if all went well and the image can be forked."
  (setf *dealt-with* (append *dealt-with* parameters))
  (and (loop for (key . value) in parameters
             always (or (not (eq key :load)) (load-into-stem value)))
       (null (rest (sb-thread:list-all-threads)))))

(defun load-into-stem (step)
  "Load STEP; true if that went well."
  (unless bazel.main:*action* (begin-action :compile *dealt-with*))
  (process-step step)
  (sound-p))
