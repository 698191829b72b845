;;;; Makes the core of the driver: `sbcl --core BASE … --load build.lisp OUTPUT FILE…`, FILEs in load
;;;; order; BASE is what `base.lisp` saved.

(in-package "COMMON-LISP-USER")

(handler-bind ((warning (function muffle-warning)))
  (require "sb-md5")
  (require "sb-rotate-byte"))

;; SBCL has taken its own options away from the command line.
(let* ((arguments (rest sb-ext:*posix-argv*))
       (output (first arguments))
       (fasl (sb-ext:parse-native-namestring (concatenate 'string output ".fasl"))))
  (proclaim '(optimize (speed 1) (debug 1) (safety 1)))
  (setf *compile-verbose* nil)
  (dolist (file (rest arguments))
    (with-compilation-unit (:source-namestring file)
      (multiple-value-bind (written warnings failed)
          (compile-file (sb-ext:parse-native-namestring file)
                        :output-file (merge-pathnames fasl) :external-format :utf-8)
        (declare (ignore warnings))
        (when (or failed (null written)) (sb-ext:exit :code 1 :abort t))
        (load written)))
    (delete-file fasl))
  (funcall (intern "SAVE" "RBZ.DRIVER") output))
