(defpackage #:show
  (:use #:common-lisp)
  (:export #:main))

(in-package #:show)

(defmacro edges-now (&rest rows)
  "The edges of ROWS, found while this file compiles."
  `'(,@(apply #'pictures:edges-drawn rows)))

(defun main ()
  (format t "~{~a~%~}"
          (edges-now "            "
                     "   ######   "
                     "   ######   "
                     "   ######   "
                     "   ######   "
                     "            ")))
