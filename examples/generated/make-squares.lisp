;;;; A program that writes Lisp: the squares of the numbers below its argument.

(defpackage #:make-squares
  (:use #:common-lisp)
  (:export #:main))

(in-package #:make-squares)

(defun main ()
  "Writes the table to standard output."
  (let ((limit (parse-integer (second sb-ext:*posix-argv*))))
    (format t "(in-package #:palette)~2%~
               (defparameter *squares*~%  ~
               (coerce '(~{~<~%    ~1,80:;~D~>~^ ~}) '(simple-vector ~D))~%  ~
               \"The square of each number below ~D.\")~%"
            (loop for number below limit collect (* number number))
            limit limit)))
