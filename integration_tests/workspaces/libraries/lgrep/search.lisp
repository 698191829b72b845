;;;; Which lines match, and how they are shown.

(in-package :lgrep)

(defstruct (search-options (:conc-name nil))
  "What the command line asked for."
  (ignore-case nil :type boolean)
  (invert nil :type boolean)
  (number-lines nil :type boolean)
  (count-only nil :type boolean)
  (show-names nil :type boolean))

(defun make-matcher (pattern options)
  "A function of a line that is true if the line is to be shown."
  (let ((scanner (cl-ppcre:create-scanner pattern :case-insensitive-mode (ignore-case options))))
    (if (invert options)
        (lambda (line) (not (cl-ppcre:scan scanner line)))
        (lambda (line) (cl-ppcre:scan scanner line)))))

(defun show-line (line number name options)
  "Write LINE with what OPTIONS want before it."
  (when (show-names options) (format t "~a:" name))
  (when (number-lines options) (format t "~d:" number))
  (write-line line))

(defun search-stream (stream name matcher options)
  "Search the lines of STREAM, which is called NAME; the number of those that were found."
  (let ((found 0))
    (loop for line = (read-line stream nil)
          for number from 1
          while line
          when (funcall matcher line)
            do (incf found)
               (unless (count-only options) (show-line line number name options)))
    (when (count-only options)
      (when (show-names options) (format t "~a:" name))
      (format t "~d~%" found))
    found))
