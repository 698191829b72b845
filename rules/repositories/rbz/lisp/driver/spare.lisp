;;;; A process in reserve: a copy of this one that waits, and takes its place if what is tried fails.

(in-package "RBZ.SPARE")

(defun fork ()
  "Fork: 0 in the child, else its process; nil if that cannot be."
  (let ((process (sb-alien:alien-funcall (sb-alien:extern-alien "fork" (function sb-alien:int)))))
    (unless (minusp process) process)))

(defun fork-spare ()
  "Fork a copy of this process that waits. Returns :FIRST here, and a function to be called with nil, which
dismisses the copy, or with a text, which lets the copy go on in place of this process: that ends as the
copy does. In the copy, if it comes to that, returns :SPARE, nil and the text. Where no copy can be made,
returns :ALONE."
  (if (rest (sb-thread:list-all-threads))
      :alone
      (multiple-value-bind (in out) (sb-unix:unix-pipe)
        (let ((process (and in (fork))))
          (cond ((null process)
                 :alone)
                ((zerop process)
                 (sb-unix:unix-close out)
                 (values :spare nil (wait-for-text in)))
                (t
                 (sb-unix:unix-close in)
                 (values :first (lambda (text)
                                  (if text (hand-over process out text) (dismiss process out))))))))))

(defun wait-for-text (descriptor)
  "The text that comes from DESCRIPTOR; the process ends if none does."
  (let ((text (with-open-stream (in (sb-sys:make-fd-stream descriptor :input t :external-format :utf-8
                                                                      :buffering :full))
                (with-output-to-string (out)
                  (loop for char = (read-char in nil)
                        while char
                        do (write-char char out))))))
    (when (string= text "") (sb-ext:exit :code 1 :abort t))
    text))

(defun hand-over (process descriptor text)
  "Send TEXT to PROCESS, and end as it does."
  (with-open-stream (out (sb-sys:make-fd-stream descriptor :output t :external-format :utf-8
                                                           :buffering :full))
    (write-string text out))
  (sb-ext:exit :code (exit-code process) :abort t))

(defun dismiss (process descriptor)
  "Let PROCESS end."
  (sb-unix:unix-close descriptor)
  (exit-code process))

(defun exit-code (process)
  "Wait for the end of PROCESS, and say with which code it ended."
  (let ((status (make-array 1 :element-type '(unsigned-byte 32))))
    (sb-sys:with-pinned-objects (status)
      (sb-alien:alien-funcall
       (sb-alien:extern-alien "waitpid" (function sb-alien:int sb-alien:int
                                                  sb-sys:system-area-pointer sb-alien:int))
       process (sb-sys:vector-sap status) 0))
    (if (zerop (ldb (byte 7 0) (aref status 0)))
        (ldb (byte 8 8) (aref status 0))
        1)))
