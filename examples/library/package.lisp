;;;; The interface of the library.

(defpackage #:roman
  (:use #:common-lisp)
  (:export #:to-roman
           #:from-roman
           #:not-a-roman-number
           #:not-a-roman-number-text))
