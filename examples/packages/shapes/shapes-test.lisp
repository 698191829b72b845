;;;; Tests of the shapes.

(defpackage #:shapes-test
  (:use #:common-lisp #:shapes)
  (:export #:main))

(in-package #:shapes-test)

(defun main ()
  "Checks the areas of some shapes."
  (assert (< (abs (- (area (circle 2)) (* 4 pi))) 1d-9))
  (assert (= 12 (area (polygon '(0 . 0) '(4 . 0) '(4 . 3) '(0 . 3)))))
  (assert (= 6 (area (polygon '(0 . 0) '(4 . 0) '(0 . 3))))))
