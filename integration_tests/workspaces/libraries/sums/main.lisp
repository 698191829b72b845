;;;; The command line:
;;;;
;;;;     sums DIGEST FILE...
;;;;     sums encrypt|decrypt ctr|cbc KEY VECTOR INPUT OUTPUT

(in-package :sums)

(defun cipher-arguments (arguments)
  "What follows `encrypt` and `decrypt`, with the numbers as octets."
  (unless (= (length arguments) 5)
    (command-line:fail "usage: sums encrypt|decrypt ctr|cbc KEY VECTOR INPUT OUTPUT"))
  (destructuring-bind (mode key vector input output) arguments
    (list mode
          (octets-of-hex key "the key")
          (octets-of-hex vector "the initialization vector")
          input
          output)))

(defun run (arguments)
  "Do what ARGUMENTS say."
  (let ((command (first arguments)) (rest (rest arguments)))
    (cond ((null rest)
           (command-line:fail "usage: sums DIGEST FILE..., sums encrypt|decrypt ctr|cbc KEY VECTOR INPUT OUTPUT"))
          ((string= command "encrypt") (apply #'encrypt-file (cipher-arguments rest)))
          ((string= command "decrypt") (apply #'decrypt-file (cipher-arguments rest)))
          (t (print-digests command rest)))))

(defun main ()
  "The program: status 0, or 1 after a message, or 2 if the command line is wrong."
  (handler-case (run (command-line:arguments))
    (command-line:usage-error (condition)
      (format *error-output* "sums: ~a~%" condition)
      (sb-ext:exit :code 2))
    (error (condition)
      (format *error-output* "sums: ~a~%" condition)
      (sb-ext:exit :code 1))))
