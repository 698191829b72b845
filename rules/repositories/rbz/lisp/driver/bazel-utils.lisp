;;;; Strings, octets and calls by name, and messages: what code written for bazelisp's image expects
;;;; in the packages `BAZEL.UTILS` and `BAZEL.LOG`.

(in-package "BAZEL.UTILS")

(deftype octet () "A byte." '(unsigned-byte 8))
(deftype octets () "A vector of bytes." '(vector octet))
(deftype simple-octets () "A simple vector of bytes." '(simple-array octet (*)))

(define-modify-macro nconcf (&rest lists) nconc
  "Append LISTS to the place, destructively.")

(defun prefixp (prefix string)
  "True if STRING begins with PREFIX."
  (let ((end (mismatch prefix string)))
    (or (null end) (= end (length prefix)))))

(defun strip-prefix (prefix string)
  "STRING without PREFIX and true, or STRING as it is and nil if it does not begin with it."
  (if (prefixp prefix string)
      (values (subseq string (length prefix)) t)
      (values string nil)))

(defun delete-existing (file)
  "Delete FILE if it is there."
  (when (probe-file file) (delete-file file)))

(defun delete-read-only (file &optional (mode :supersede))
  "Delete FILE if it is there and cannot be opened for output with MODE."
  (when (probe-file file)
    (handler-case (progn (close (open file :direction :output :if-exists mode)) nil)
      (file-error () (delete-file file)))))

(defmacro dohash ((key value table) &body body)
  "Run BODY with KEY and VALUE bound to those of each entry of TABLE."
  `(block nil
     (maphash (lambda (,key ,value) (declare (ignorable ,key ,value)) ,@body) ,table)))

(defun split (string &key (by #\Space))
  "The parts of STRING between the characters BY, without empty ones; nil for nil."
  (loop with start = 0
        while (and string (< start (length string)))
        for end = (or (position by string :start start) (length string))
        when (< start end) collect (subseq string start end)
        do (setf start (1+ end))))

(defun to-keyword (string)
  "The keyword of the name STRING, in upper case."
  (intern (string-upcase string) "KEYWORD"))

(defun write-stringz (string stream)
  "Write STRING in UTF-8 and a zero byte."
  (write-sequence (sb-ext:string-to-octets string :external-format :utf-8 :null-terminate t)
                  stream))

(defun read-stringz (stream)
  "Read a string in UTF-8 up to a zero byte."
  (sb-ext:octets-to-string
   (coerce (loop for octet = (read-byte stream) until (zerop octet) collect octet) 'simple-octets)
   :external-format :utf-8))

(defun read-u64 (stream)
  "Read a number of eight bytes, the least first."
  (loop for position from 0 below 64 by 8
        sum (ash (read-byte stream) position)))

(defun write-u64 (number stream)
  "Write NUMBER in eight bytes, the least first."
  (loop for position from 0 below 64 by 8
        do (write-byte (ldb (byte 8 position) number) stream)))

(defun named-function (name)
  "The symbol that NAME, `PACKAGE:SYMBOL`, stands for, and its package; nil where there is none."
  (destructuring-bind (package symbol) (split name :by #\:)
    (let ((package (find-package package)))
      (values (and package (find-symbol symbol package)) package))))

(defun funcall-named (name &rest arguments)
  "Call the function of NAME, `PACKAGE:SYMBOL`, with ARGUMENTS; do nothing if there is no such
package."
  (multiple-value-bind (function package) (named-function name)
    (when package
      (assert (and function (fboundp function)) () "there is no function ~a" name)
      (apply function arguments))))

(defun funcall-named* (name &rest arguments)
  "Call the function of NAME, `PACKAGE:SYMBOL`, with ARGUMENTS, if there is one."
  (let ((function (named-function name)))
    (when (and function (fboundp function)) (apply function arguments))))

(defun call-continuing (function)
  "Call FUNCTION, and go on after an error for which it has a `continue` restart of its own."
  (let ((outer (compute-restarts)))
    (handler-bind ((error (lambda (condition)
                            (let ((restart (find-restart 'continue condition)))
                              (when (and restart (not (member restart outer)))
                                (invoke-restart restart))))))
      (funcall function))))

(defmacro with-continue-on-error ((&key (when t)) &body body)
  "Run BODY, and if WHEN is true go on after errors for which it offers that."
  `(flet ((body () ,@body))
     (if ,when (call-continuing #'body) (body))))

(in-package "BAZEL.LOG")

(declaim (type fixnum *verbose*))
(defvar *verbose* 0
  "Messages up to this level are printed.")

(define-condition fatal-error (cl:error)
  ((message :initarg :message :initform nil :reader fatal-error-message))
  (:documentation "What `fatal` signals.")
  (:report (lambda (condition stream)
             (format stream "~@[~a~]" (fatal-error-message condition)))))

(deftype non-fatal-error ()
  "Any error that `fatal` did not signal."
  '(and cl:error (not fatal-error)))

(defmacro with-safe-io-syntax (&body body)
  "Run BODY with standard syntax, without what makes printing fail."
  `(with-standard-io-syntax
     (let ((*print-readably* nil) (*print-circle* t) (sb-ext:*suppress-print-errors* t))
       ,@body)))

(defun message (severity level control &rest arguments)
  "Print what CONTROL and ARGUMENTS say, if messages of LEVEL are wanted."
  (when (<= level *verbose*)
    (with-safe-io-syntax
      (format (if (eq severity :info) *standard-output* *error-output*)
              "~&~a: ~?~%" severity control arguments))))

(macrolet ((define (name severity level)
             `(defun ,name (control &rest arguments)
                ,(format nil "Print a message of severity ~(~a~) and level ~d." severity level)
                (apply #'message ,severity ,level control arguments))))
  (define info :info 0)
  (define verbose :info 1)
  (define vv :info 2)
  (define vvv :info 3)
  (define warning :warning 0)
  (define error :error 0))

(defun fatal (control &rest arguments)
  "Print a message and signal `fatal-error`; the restart `continue` goes on."
  (apply #'message :fatal 0 control arguments)
  (with-simple-restart (continue "Go on.")
    (cl:error 'fatal-error
              :message (with-safe-io-syntax (apply #'format nil control arguments)))))
