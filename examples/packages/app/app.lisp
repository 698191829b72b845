;;;; The program: a report on a garden.

(defpackage #:app
  (:use #:common-lisp)
  (:export #:main))

(in-package #:app)

(defun main ()
  "Prints the report."
  (report:write-report
   (list (cons "pond" (shapes:circle 2))
         (cons "lawn" (shapes:polygon '(0 . 0) '(10 . 0) '(10 . 8) '(0 . 8)))
         (cons "bed" (shapes:polygon '(0 . 0) '(3 . 0) '(0 . 4))))
   *standard-output*))
