;;;; Tests of the texts for the north.

(defpackage #:north-texts-test
  (:use #:common-lisp)
  (:import-from #:north-texts
                #:message)
  (:export #:main))

(in-package #:north-texts-test)

(defun main ()
  "Looks up a text of this catalog, and those it is built on."
  (assert (string= "Moin" (message "de" "greeting")))
  (assert (string= "Auf Wiedersehen" (message "de" "farewell")))
  (assert (string= "Hello" (message "en" "greeting"))))
