(defpackage :sums
  (:use :cl)
  (:export #:main))
