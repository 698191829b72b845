;;;; Short options and operands, as POSIX wants them: `-ni`, `-n -i`, and `--` ends the options.

(defpackage :command-line
  (:use :cl)
  (:export #:arguments #:parse #:usage-error #:fail))

(in-package :command-line)

(define-condition usage-error (error)
  ((text :initarg :text :reader text))
  (:documentation "The command line makes no sense.")
  (:report (lambda (condition stream) (write-string (text condition) stream))))

(defun fail (control &rest arguments)
  "Signal that the command line is wrong."
  (error 'usage-error :text (apply #'format nil control arguments)))

(defun arguments ()
  "What follows the program's name on the command line."
  (rest sb-ext:*posix-argv*))

(defun option-letters (argument flags)
  "The letters of ARGUMENT, a group of options, each of which must be one of FLAGS."
  (loop for letter across (subseq argument 1)
        unless (find letter flags)
          do (fail "unknown option -- '~a'" letter)
        collect letter))

(defun parse (arguments flags)
  "Two values: the letters of FLAGS that occur in ARGUMENTS as options, and the operands."
  (let ((options '()) (operands '()))
    (loop while arguments
          for argument = (pop arguments)
          do (cond ((string= argument "--")
                    (setf operands (revappend arguments operands)
                          arguments '()))
                   ((and (> (length argument) 1) (char= (char argument 0) #\-))
                    (setf options (union (option-letters argument flags) options)))
                   (t (push argument operands))))
    (values options (reverse operands))))
