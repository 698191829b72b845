;;;; Shapes and their areas.

(defpackage #:shapes
  (:use #:common-lisp)
  (:import-from #:shapes/geometry
                #:square
                #:polygon-area)
  (:export #:circle
           #:polygon
           #:area))

(in-package #:shapes)

(defstruct (circle (:constructor circle (radius)))
  "All points that are at most RADIUS away."
  (radius 1 :type (real 0)))

(defstruct (polygon (:constructor polygon (&rest points)))
  "What lies between POINTS, each (x . y)."
  (points '() :type list))

(defgeneric area (shape)
  (:documentation "The area of SHAPE.")
  (:method ((shape circle))
    (* pi (square (circle-radius shape))))
  (:method ((shape polygon))
    (polygon-area (polygon-points shape))))
