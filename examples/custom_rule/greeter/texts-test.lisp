;;;; Tests of the texts.

(defpackage #:texts-test
  (:use #:common-lisp)
  (:import-from #:greeter-texts
                #:message)
  (:export #:main))

(in-package #:texts-test)

(defun main ()
  "Looks up some texts."
  (assert (string= "Hello" (message "en" "greeting")))
  (assert (string= "Grüß Gott" (message "de" "greeting")))
  (assert (null (message "fr" "greeting"))))
