;;;; A program that greets whoever is named on its command line.

(defpackage #:hello
  (:use #:common-lisp)
  (:export #:greeting
           #:main))

(in-package #:hello)

(defun greeting (names)
  "The line that greets NAMES, a list of strings; the world if there are none."
  (format nil "Hello, ~:[world~;~:*~{~A~#[~; and ~:;, ~]~}~]!" names))

(defun main ()
  "Greets the names on the command line."
  (write-line (greeting (rest sb-ext:*posix-argv*))))
