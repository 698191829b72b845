;;;; Parameters of an action: a file of lines, each a key, a space, and a value.
;;;;
;;;; Everything after the first space is the value as it is, so that paths may hold anything but a
;;;; newline. Lines of one key keep their order.

(in-package "RBZ.PARAMETERS")

(define-condition bad-parameters (error)
  ((text :initarg :text :reader text))
  (:documentation "The rules and the driver disagree: never the user's mistake.")
  (:report (lambda (condition stream) (write-string (text condition) stream))))

(defun read-parameters (path)
  "The lines of the file at the native PATH, in order, as conses of a keyword and a string."
  (with-open-file (stream (native-path path) :external-format :utf-8)
    (loop for line = (read-line stream nil)
          while line
          unless (string= line "")
            collect (read-parameter line))))

(defun read-parameter (line)
  "LINE as a cons of a keyword and a string."
  (let ((space (position #\Space line)))
    (cons (intern (string-upcase (subseq line 0 space)) :keyword)
          (if space (subseq line (1+ space)) ""))))

(defun parameters (key parameters)
  "All values of KEY, in order."
  (loop for (name . value) in parameters
        when (eq name key) collect value))

(defun parameter (key parameters &optional (default nil default-given-p))
  "The one value of KEY, else DEFAULT; without a DEFAULT it must be there."
  (let ((values (parameters key parameters)))
    (cond ((rest values)
           (error 'bad-parameters :text (format nil "`~(~a~)` is given more than once." key)))
          (values (first values))
          (default-given-p default)
          (t (error 'bad-parameters :text (format nil "`~(~a~)` is missing." key))))))

(defun map-parameters (function parameters)
  "Call FUNCTION on key and value of each line, in order."
  (loop for (key . value) in parameters do (funcall function key value)))

(defun native-path (string)
  "The pathname of the file that the system calls STRING, whatever characters are in it."
  (sb-ext:parse-native-namestring string))
