;;;; The interface of the library.

(defpackage #:palette
  (:use #:common-lisp)
  (:export #:*colours*
           #:nearest-colour))
