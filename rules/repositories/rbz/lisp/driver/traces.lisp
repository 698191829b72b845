;;;; What a FASL holds of the machine and the moment that it was compiled on: absolute paths of the
;;;; sources, and the time. Such a FASL is another one each time it is made elsewhere, so it is
;;;; reported; it is no failure.

(in-package "RBZ.TRACES")

(defvar *times* '()
  "What the clock said whenever the file that is being compiled asked for it.")

(defvar *pathnames* '()
  "The absolute pathnames that were written into the FASL.")

(defun call-watching-clock (function)
  "Call FUNCTION, which compiles a file, while it is noted what the clock says and which pathnames
are written."
  (setf *times* '() *pathnames* '())
  (sb-int:encapsulate 'get-universal-time 'rbz
                      (lambda (clock)
                        (let ((time (funcall clock)))
                          (pushnew time *times*)
                          time)))
  (sb-int:encapsulate 'make-load-form 'rbz
                      (lambda (form object &rest environment)
                        (when (and (pathnamep object)
                                   (eq (first (pathname-directory object)) :absolute))
                          (pushnew object *pathnames* :test #'equal))
                        (apply form object environment)))
  (when (fboundp 'sb-fasl::open-fasl-output)
    (sb-int:encapsulate 'sb-fasl::open-fasl-output 'rbz 'call-without-runtime))
  (unwind-protect (funcall function)
    (dolist (name '(get-universal-time make-load-form sb-fasl::open-fasl-output))
      (when (fboundp name) (sb-int:unencapsulate name 'rbz)))))

(defun call-without-runtime (open &rest arguments)
  "Call OPEN, which writes the first line of a FASL: without where the Lisp is on this machine."
  (let ((runtime sb-ext:*runtime-pathname*))
    (setf sb-ext:*runtime-pathname* nil)
    (unwind-protect (apply open arguments)
      (setf sb-ext:*runtime-pathname* runtime))))

(defun report-traces (fasl directory report)
  "Call REPORT with a sentence for each trace in the file at the native path FASL: of DIRECTORY, a
string that is the current directory, and of the time."
  (let ((octets (octets fasl)))
    (when (or (find-if (lambda (pathname)
                         (eql 0 (search directory (sb-ext:native-namestring pathname))))
                       *pathnames*)
              (contains-p octets (encoded directory :utf-8))
              (contains-p octets (encoded directory :utf-32le)))
      (funcall report
               (format nil "the compiled file holds the absolute path `~a…`: use *compile-file-pathname*, not *compile-file-truename*, or look for files when the program runs"
                       directory)))
    (when (some (lambda (time)
                  ;; As a number in the FASL, or as a fixnum in the code.
                  (or (contains-p octets (number-octets time))
                      (contains-p octets (number-octets (* 2 time)))))
                *times*)
      (funcall report "the compiled file holds the time at which it was compiled: it will be another file each time"))))

(defun octets (path)
  "The bytes of the file at the native PATH."
  (with-open-file (stream (native-path path) :element-type '(unsigned-byte 8))
    (let ((octets (make-array (file-length stream) :element-type '(unsigned-byte 8))))
      (read-sequence octets stream)
      octets)))

(defun encoded (string format)
  "The bytes of STRING in the external FORMAT."
  (sb-ext:string-to-octets string :external-format format))

(defun number-octets (number)
  "The eight bytes of NUMBER, the least first."
  (let ((octets (make-array 8 :element-type '(unsigned-byte 8))))
    (dotimes (index 8 octets)
      (setf (aref octets index) (ldb (byte 8 (* 8 index)) number)))))

(defun contains-p (octets part)
  "True if PART occurs in OCTETS."
  (declare (type (simple-array (unsigned-byte 8) (*)) octets part)
           (optimize speed))
  (let ((first (aref part 0)) (last (- (length octets) (length part))))
    (loop for start of-type fixnum = 0 then (1+ at)
          for at = (and (<= start last) (position first octets :start start))
          while (and at (<= at last))
            thereis (loop for index of-type fixnum from 1 below (length part)
                          always (= (aref octets (+ at index)) (aref part index))))))
