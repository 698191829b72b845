;;;; Finding colours, on top of two generated tables.

(in-package #:palette)

(defun distance (colour red green blue)
  "How far COLOUR, an entry of *COLOURS*, is from RED, GREEN, BLUE."
  (flet ((square (a b)
           (svref *squares* (abs (- a b)))))
    (destructuring-bind (r g b) (rest colour)
      (+ (square r red) (square g green) (square b blue)))))

(defun nearest-colour (red green blue)
  "The name of the colour that is nearest to RED, GREEN, BLUE, each from 0 to 255."
  (flet ((nearer (a b)
           (if (< (distance b red green blue) (distance a red green blue)) b a)))
    (first (reduce #'nearer *colours*))))
