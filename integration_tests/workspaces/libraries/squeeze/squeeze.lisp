(in-package #:squeeze)

(define-foreign-library libz
  (:unix (:or "libz.so.1" "libz.so"))
  (t (:default "libz")))

;; What `cdeps` bring is there: this finds it done.
(use-foreign-library libz)

(defcfun "compressBound" :unsigned-long (length :unsigned-long))

(defcfun "compress" :int
  (to :pointer) (to-length :pointer) (from :pointer) (from-length :unsigned-long))

(defcfun "uncompress" :int
  (to :pointer) (to-length :pointer) (from :pointer) (from-length :unsigned-long))

(deftype octets () '(vector (unsigned-byte 8)))

(defun converted (function octets size)
  "What FUNCTION of zlib makes of OCTETS, at most SIZE of them."
  (with-foreign-objects ((from :uint8 (length octets))
                         (to :uint8 size)
                         (to-length :unsigned-long))
    (dotimes (i (length octets)) (setf (mem-aref from :uint8 i) (aref octets i)))
    (setf (mem-ref to-length :unsigned-long) size)
    (let ((code (funcall function to to-length from (length octets))))
      (unless (zerop code) (error "zlib says ~d" code)))
    (let ((result (make-array (mem-ref to-length :unsigned-long) :element-type '(unsigned-byte 8))))
      (dotimes (i (length result) result) (setf (aref result i) (mem-aref to :uint8 i))))))

(defun compressed (octets)
  "OCTETS, compressed."
  (converted #'compress octets (compressbound (length octets))))

(defun uncompressed (octets size)
  "The SIZE octets that were compressed to OCTETS."
  (converted #'uncompress octets size))

;;; Lisp, called by C.

(defcallback add-square :int ((sum :int) (number :int))
  (+ sum (* number number)))

(defcfun "fold" :int (step :pointer) (start :int) (numbers :pointer) (count :int))

(defun folded (&rest numbers)
  "The sum of the squares of NUMBERS."
  (with-foreign-object (array :int (length numbers))
    (loop for number in numbers for i from 0 do (setf (mem-aref array :int i) number))
    (fold (callback add-square) 0 array (length numbers))))
