;;;; A program that names the colour nearest to the one on its command line.

(defpackage #:nearest
  (:use #:common-lisp)
  (:export #:main))

(in-package #:nearest)

(defun main ()
  "Prints the name of the colour whose red, green and blue are the arguments."
  (let ((arguments (rest sb-ext:*posix-argv*)))
    (unless (= 3 (length arguments))
      (format *error-output* "usage: nearest RED GREEN BLUE~%")
      (sb-ext:exit :code 2))
    (write-line (apply #'palette:nearest-colour (mapcar #'parse-integer arguments)))))
