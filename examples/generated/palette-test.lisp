;;;; Tests of the library, and so of the two generators.

(defpackage #:palette-test
  (:use #:common-lisp)
  (:import-from #:palette
                #:*colours*
                #:nearest-colour)
  (:export #:main))

(in-package #:palette-test)

(defun main ()
  "Checks the table and looks up some colours."
  (assert (= 8 (length *colours*)))
  (assert (equal '("orange" 255 165 0) (assoc "orange" *colours* :test #'string=)))
  (loop for (name red green blue) in *colours*
        do (assert (string= name (nearest-colour red green blue)) (name)))
  (assert (string= "orange" (nearest-colour 250 150 10))))
