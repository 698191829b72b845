(defpackage #:squeeze
  (:use #:common-lisp #:cffi)
  (:export #:compressed #:uncompressed #:folded))
