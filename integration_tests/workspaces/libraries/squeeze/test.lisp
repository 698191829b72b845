(in-package #:squeeze)

(defun test ()
  (let ((octets (make-array 10000 :element-type '(unsigned-byte 8) :initial-element 7)))
    (assert (< (length (compressed octets)) 100))
    (assert (equalp (uncompressed (compressed octets) 10000) octets)))
  (assert (= (folded 3 4) 25)))
