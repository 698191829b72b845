;;;; From numbers to Roman numerals and back.

(in-package #:roman)

(define-condition not-a-roman-number (error)
  ((text :initarg :text :reader not-a-roman-number-text))
  (:report (lambda (condition stream)
             (format stream "~S is not a Roman number."
                     (not-a-roman-number-text condition))))
  (:documentation "A text that was to be a Roman number and is none."))

(defun to-roman (number)
  "The Roman numerals for NUMBER, an integer from 1 to 3999."
  (check-type number (integer 1 3999))
  (with-output-to-string (out)
    (do-numerals (value letters)
      (loop while (>= number value)
            do (write-string letters out)
               (decf number value)))))

(defun from-roman (text)
  "The number that TEXT, a string of Roman numerals, stands for."
  (let ((number 0)
        (position 0))
    (do-numerals (value letters)
      (loop for end = (+ position (length letters))
            while (and (<= end (length text))
                       (string= letters text :start2 position :end2 end))
            do (incf number value)
               (setf position end)))
    ;; Only the canonical way to write a number counts: not IIII, not IVI.
    (unless (and (<= 1 number 3999) (string= text (to-roman number)))
      (error 'not-a-roman-number :text text))
    number))
