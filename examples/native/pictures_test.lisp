(defpackage #:pictures-test
  (:use #:common-lisp)
  (:export #:main))

(in-package #:pictures-test)

(defun main ()
  (assert (zerop (pictures:edge-count "###" "###")))
  (assert (equal (pictures:edge-points "  ##" "  ##") '((1 0) (2 0) (1 1) (2 1))))
  (assert (equal (pictures:edges-drawn "  ##" "  ##") '(" oo " " oo "))))
