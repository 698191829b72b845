;;;; The package of ironclad's tests, which its system definition makes, and where their data is.

(defpackage :ironclad-tests
  (:nicknames :crypto-tests)
  (:use :cl)
  (:export #:run-tests))

(in-package :ironclad-tests)

(defun test-vector-pathname (ident)
  "The file of the test vectors for IDENT among the test's runfiles."
  (sb-ext:parse-native-namestring
   (format nil "../ironclad/testing/test-vectors/~a.testvec"
           (substitute #\- #\/ (string-downcase ident)))))

(defun run-tests ()
  "Run every test; true if all passed. The suite looks for its data beside its sources, which a
test does not see: it is told where the data is."
  (setf (fdefinition 'test-vector-filename) #'test-vector-pathname)
  (funcall (intern "DO-TESTS" "RTEST")))
