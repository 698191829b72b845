;;;; The numerals and what they are worth.

(in-package #:roman)

(eval-when (:compile-toplevel :load-toplevel :execute)
  (defparameter *numerals*
    '((1000 "M") (900 "CM") (500 "D") (400 "CD") (100 "C") (90 "XC")
      (50 "L") (40 "XL") (10 "X") (9 "IX") (5 "V") (4 "IV") (1 "I"))
    "Values and the letters that stand for them, greatest first."))

(defmacro do-numerals ((value letters) &body body)
  "Runs BODY once for each numeral, greatest first, with VALUE and LETTERS bound.
The loop is unrolled at compile time: `roman.lisp` sees this file when it is compiled."
  `(progn
     ,@(loop for (number text) in *numerals*
             collect `(let ((,value ,number) (,letters ,text)) ,@body))))
