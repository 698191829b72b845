(in-package #:squeeze)

(defmacro compressed-literal (text)
  "The octets of TEXT, compressed now."
  (coerce (compressed (map 'vector #'char-code text)) '(simple-array (unsigned-byte 8) (*))))

(defun main ()
  (let* ((small (compressed-literal "so much depends upon so much depends upon so much depends upon"))
         (all (uncompressed small 62)))
    (format t "~d of ~d octets: ~a~%" (length small) (length all) (map 'string #'code-char all))
    (format t "~d~%" (folded 1 2 3))))
