;;;; Tests of the library.

(defpackage #:roman-test
  (:use #:common-lisp)
  (:import-from #:roman
                #:to-roman
                #:from-roman
                #:not-a-roman-number)
  (:export #:main))

(in-package #:roman-test)

(defun test-known-numbers ()
  (loop for (number text) in '((1 "I") (4 "IV") (9 "IX") (14 "XIV") (40 "XL") (90 "XC")
                               (400 "CD") (1958 "MCMLVIII") (1999 "MCMXCIX") (3999 "MMMCMXCIX"))
        do (assert (string= text (to-roman number)) (number text))
           (assert (= number (from-roman text)) (number text))))

(defun test-there-and-back ()
  (loop for number from 1 to 3999
        do (assert (= number (from-roman (to-roman number))) (number))))

(defun test-refuses-what-is-no-number ()
  (dolist (text '("" "IIII" "IVI" "VX" "MMMM" "ABC" "iv"))
    (assert (typep (nth-value 1 (ignore-errors (from-roman text))) 'not-a-roman-number)
            (text))))

(defun main ()
  "Runs all tests; the first that fails signals an error."
  (dolist (test '(test-known-numbers test-there-and-back test-refuses-what-is-no-number))
    (format t "~(~A~)~%" test)
    (funcall test)))
