;;;; Reports on shapes, as text.

(defpackage #:report
  (:use #:common-lisp)
  (:export #:write-report))

(in-package #:report)

(defun write-report (shapes stream)
  "Writes one line for each of SHAPES, a list of (name . shape), and their sum to STREAM."
  (loop for (name . shape) in shapes
        for area = (shapes:area shape)
        sum area into sum
        do (format stream "~10A ~8,2F~%" name area)
        finally (format stream "~10A ~8,2F~%" "together" sum)))
