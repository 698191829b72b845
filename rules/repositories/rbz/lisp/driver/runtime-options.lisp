;;;; Options of the runtime for programs that give theirs no access to the command line: the
;;;; environment variable `RBZ_LISP_ARGS`.
;;;;
;;;; When Lisp code runs, the runtime has chosen the size of its heap and its stack long ago. So the
;;;; program starts itself once more, in a way that the runtime looks at its options: its first part,
;;;; which is the runtime alone, is copied into memory and started with the program as its core.

(in-package "RBZ.RUNTIME-OPTIONS")

(defun given-options ()
  "The options in the environment, as strings; they are removed from it."
  (loop for variable in '("RBZ_LISP_ARGS" "NIX_BUILDLISP_LISP_ARGS")
        for value = (bazel.sbcl:getenv variable)
        when value
          do (bazel.sbcl:unsetenv variable)
          and append (bazel.utils:split value)))

(defun apply-runtime-options ()
  "Start the program again if the environment has options for the runtime; after that, make the image
look as if it had been started as usual."
  (let ((program (bazel.sbcl:getenv "RBZ_LISP_PROGRAM"))
        (options (given-options)))
    (cond (program
           (bazel.sbcl:unsetenv "RBZ_LISP_PROGRAM")
           (setf sb-ext:*runtime-pathname* (sb-ext:parse-native-namestring program)))
          ((and options (native-executable))
           (start-again (native-executable) options)))))

;; The first word of a core, and the last one of a program that has its core at its end.
(defconstant +core-mark+ #x5342434C)

(defun native-executable ()
  "The path of the program that runs, or nil where the system does not tell."
  (ignore-errors (sb-ext:native-namestring (truename "/proc/self/exe"))))

(defun start-again (program options)
  "Replace the process by one that runs PROGRAM with OPTIONS for the runtime. Returns if there is no
way to do so."
  (let ((size (runtime-size program))
        (name (first sb-ext:*posix-argv*))
        (arguments (rest sb-ext:*posix-argv*)))
    (setenv "RBZ_LISP_PROGRAM" program)
    (if size
        (execute (copy-into-memory program size)
                 `(,name "--core" ,program "--noinform" ,@options
                         "--end-runtime-options" ,@arguments))
        ;; A linked program takes at least the sizes of its memory.
        (execute program `(,name ,@options ,@arguments)))
    (bazel.sbcl:unsetenv "RBZ_LISP_PROGRAM")
    (format *error-output* "warning: RBZ_LISP_ARGS has no effect: ~a cannot be started again~%"
            program)))

(defun runtime-size (program)
  "How many bytes of PROGRAM come before the core, or nil if it was linked and not put together: then the
file does not end with the place of a core and a mark."
  (with-open-file (stream (sb-ext:parse-native-namestring program)
                          :element-type '(unsigned-byte 8))
    (let ((length (file-length stream)))
      (when (> length 16)
        (file-position stream (- length 16))
        (let ((start (bazel.utils:read-u64 stream)) (mark (bazel.utils:read-u64 stream)))
          (when (and (= mark +core-mark+) (< 0 start length)) start))))))

(defun copy-into-memory (program size)
  "The path of a file in memory with the first SIZE bytes of PROGRAM."
  (let ((descriptor (sb-alien:alien-funcall
                     (sb-alien:extern-alien "memfd_create" (function sb-alien:int sb-alien:c-string
                                                                     sb-alien:unsigned-int))
                     "lisp" 0))
        (octets (make-array size :element-type '(unsigned-byte 8))))
    (with-open-file (in (sb-ext:parse-native-namestring program) :element-type '(unsigned-byte 8))
      (read-sequence octets in))
    (let ((out (sb-sys:make-fd-stream descriptor :output t :input nil :buffering :full
                                                 :element-type '(unsigned-byte 8))))
      (write-sequence octets out)
      (finish-output out))
    (format nil "/proc/self/fd/~d" descriptor)))

(defun setenv (variable value)
  "Give VARIABLE of the environment a VALUE."
  (sb-alien:alien-funcall
   (sb-alien:extern-alien "setenv" (function sb-alien:int sb-alien:c-string sb-alien:c-string
                                             sb-alien:int))
   variable value 1))

(defun execute (path arguments)
  "Run the program at PATH in place of this one. Returns if that fails."
  (let* ((count (length arguments))
         (vector (sb-alien:make-alien sb-alien:c-string (1+ count))))
    (loop for index from 0
          for argument in arguments
          do (setf (sb-alien:deref vector index) argument))
    (setf (sb-alien:deref vector count) nil)
    (sb-alien:alien-funcall
     (sb-alien:extern-alien "execv" (function sb-alien:int sb-alien:c-string
                                              (* sb-alien:c-string)))
     path vector)))
