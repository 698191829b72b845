(defpackage :lgrep
  (:use :cl)
  (:export #:main))
