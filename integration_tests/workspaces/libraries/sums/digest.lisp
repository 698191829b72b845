;;;; Digests of files, printed as coreutils print them.

(in-package :sums)

(defun digest-named (name)
  "The keyword of the digest NAME, or a usage error."
  (or (find name (ironclad:list-all-digests) :test #'string-equal)
      (command-line:fail "there is no digest `~a`" name)))

(defun open-binary (path)
  "An input stream of the octets of the file at the native PATH."
  (open (sb-ext:parse-native-namestring path) :element-type '(unsigned-byte 8)))

(defun digest-file (digest path)
  "The DIGEST of the file at PATH, in hexadecimal digits."
  (with-open-stream (stream (open-binary path))
    (ironclad:byte-array-to-hex-string (ironclad:digest-stream digest stream))))

(defun print-digests (name paths)
  "Print the digest NAME of each file of PATHS."
  (let ((digest (digest-named name)))
    (dolist (path paths)
      (format t "~a  ~a~%" (digest-file digest path) path))))
