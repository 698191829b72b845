;;;; Encrypting and decrypting files with AES in counter or CBC mode.

(in-package :sums)

(defconstant +block-length+ 16
  "Octets in a block of AES.")

(defun octets-of-hex (text what)
  "The octets that TEXT, the value of WHAT, has in hexadecimal digits."
  (handler-case (ironclad:hex-string-to-byte-array text)
    (error () (command-line:fail "~a is not a hexadecimal number: ~a" what text))))

(defun make-cipher (mode key vector)
  "AES in MODE, `ctr` or `cbc`."
  (unless (member (length key) '(16 24 32))
    (command-line:fail "a key has 16, 24 or 32 octets, not ~d" (length key)))
  (unless (= (length vector) +block-length+)
    (command-line:fail "an initialization vector has ~d octets, not ~d"
                       +block-length+ (length vector)))
  (ironclad:make-cipher :aes
                        :key key
                        :mode (cond ((string= mode "ctr") :ctr)
                                    ((string= mode "cbc") :cbc)
                                    (t (command-line:fail "the mode is ctr or cbc, not ~a" mode)))
                        :initialization-vector vector))

(defun read-octets (path)
  "The octets of the file at PATH."
  (with-open-stream (stream (open-binary path))
    (let ((octets (make-array (file-length stream) :element-type '(unsigned-byte 8))))
      (subseq octets 0 (read-sequence octets stream)))))

(defun write-octets (octets path)
  "Make the file at PATH consist of OCTETS."
  (with-open-file (stream (sb-ext:parse-native-namestring path)
                          :direction :output :if-exists :supersede
                          :element-type '(unsigned-byte 8))
    (write-sequence octets stream)))

(defun pad (octets)
  "OCTETS with the padding of PKCS 7: as many octets as are missing, each of that value."
  (let ((missing (- +block-length+ (mod (length octets) +block-length+))))
    (concatenate '(simple-array (unsigned-byte 8) (*)) octets
                 (make-list missing :initial-element missing))))

(defun unpad (octets)
  "OCTETS without the padding of PKCS 7."
  (let* ((length (length octets))
         (count (if (plusp length) (aref octets (1- length)) 0)))
    (unless (and (<= 1 count +block-length+)
                 (<= count length)
                 (every (lambda (octet) (= octet count)) (subseq octets (- length count))))
      (error "the padding is wrong: another key, or not an encrypted file"))
    (subseq octets 0 (- length count))))

(defun encrypt-file (mode key vector input output)
  "Encrypt the file INPUT into OUTPUT."
  (let* ((cipher (make-cipher mode key vector))
         (octets (read-octets input))
         (octets (if (string= mode "cbc") (pad octets) octets)))
    (ironclad:encrypt-in-place cipher octets)
    (write-octets octets output)))

(defun decrypt-file (mode key vector input output)
  "Decrypt the file INPUT into OUTPUT."
  (let ((cipher (make-cipher mode key vector))
        (octets (read-octets input)))
    (unless (or (string= mode "ctr") (zerop (mod (length octets) +block-length+)))
      (error "~a is not a whole number of blocks" input))
    (ironclad:decrypt-in-place cipher octets)
    (write-octets (if (string= mode "cbc") (unpad octets) octets) output)))
