;;;; What the shapes are computed with. Not for use outside `//shapes`.

(defpackage #:shapes/geometry
  (:use #:common-lisp)
  (:export #:square
           #:polygon-area))

(in-package #:shapes/geometry)

(declaim (inline square))
(defun square (number)
  "NUMBER times itself."
  (* number number))

(defun polygon-area (points)
  "The area of the polygon whose corners are POINTS, a list of (x . y)."
  (/ (abs (loop for ((x1 . y1) (x2 . y2)) on (append points (list (first points)))
                while x2
                sum (- (* x1 y2) (* x2 y1))))
     2))
