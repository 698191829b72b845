;;;; The command line of `lgrep [-cinv] PATTERN [FILE...]`, a grep with Perl's regular expressions.

(in-package :lgrep)

(defun complain (control &rest arguments)
  "Write a message to the standard error."
  (format *error-output* "lgrep: ~?~%" control arguments)
  (finish-output *error-output*))

(defun search-file (name matcher options)
  "Search the file NAME; the number of lines found, or nil if it cannot be read."
  (handler-case
      (with-open-file (stream (sb-ext:parse-native-namestring name) :external-format :utf-8)
        (search-stream stream name matcher options))
    (file-error () (complain "~a: No such file or directory" name) nil)
    (stream-error () (complain "~a: cannot be read" name) nil)))

(defun run (arguments)
  "Do what ARGUMENTS say; the exit status: 0 found, 1 not found, 2 trouble."
  (multiple-value-bind (flags operands) (command-line:parse arguments "cinv")
    (unless operands (command-line:fail "usage: lgrep [-cinv] PATTERN [FILE...]"))
    (destructuring-bind (pattern &rest files) operands
      (let* ((options (make-search-options :ignore-case (and (find #\i flags) t)
                                           :invert (and (find #\v flags) t)
                                           :number-lines (and (find #\n flags) t)
                                           :count-only (and (find #\c flags) t)
                                           :show-names (and (rest files) t)))
             (matcher (make-matcher pattern options))
             (counts (if files
                         (loop for file in files collect (search-file file matcher options))
                         (list (search-stream *standard-input* "-" matcher options)))))
        (cond ((member nil counts) 2)
              ((every #'zerop counts) 1)
              (t 0))))))

(defun main ()
  "The program."
  (let ((status (handler-case (run (command-line:arguments))
                  (command-line:usage-error (condition) (complain "~a" condition) 2)
                  (cl-ppcre:ppcre-syntax-error (condition) (complain "~a" condition) 2))))
    (finish-output)
    (sb-ext:exit :code status :abort t)))
