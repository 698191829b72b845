(defpackage #:pictures
  (:use #:common-lisp #:sb-alien)
  (:export #:picture #:edge-count #:edge-points #:edges-drawn))
