(in-package #:pictures)

(define-alien-routine ("visit_edges" %visit-edges) int
  (picture (* unsigned-char))
  (width int)
  (height int)
  (least double)
  (visit system-area-pointer))

(defvar *visit* nil
  "The function that the library's visitor calls.")

;; What C calls: it gives each point to the function in *VISIT*.
(define-alien-callable visit int ((column int) (row int) (strength double))
  (funcall *visit* column row strength)
  0)

(defun map-edges (function picture width height least)
  "Call FUNCTION with column, row and strength of each point of PICTURE, octets, above LEAST."
  (let ((octets (coerce picture '(simple-array (unsigned-byte 8) (*))))
        (*visit* function))
    (sb-sys:with-pinned-objects (octets)
      (%visit-edges (sap-alien (sb-sys:vector-sap octets) (* unsigned-char))
                    width height (float least 1d0)
                    (alien-sap (alien-callable-function 'visit))))))
