(in-package #:pictures)

(defun picture (&rest rows)
  "The octets of ROWS, strings in which a space is dark and anything else is bright."
  (map 'vector (lambda (char) (if (char= char #\Space) 0 255))
       (apply #'concatenate 'string rows)))

(defun edge-points (&rest rows)
  "The points, lists of column and row, where brightness changes in the picture of ROWS."
  (let ((points '()))
    (map-edges (lambda (column row strength)
                 (declare (ignore strength))
                 (push (list column row) points))
               (apply #'picture rows) (length (first rows)) (length rows) 0)
    (nreverse points)))

(defun edge-count (&rest rows)
  "How many points of the picture of ROWS are at an edge."
  (length (apply #'edge-points rows)))

(defun edges-drawn (&rest rows)
  "Strings like ROWS, of the edges alone."
  (let ((drawn (mapcar (lambda (row) (make-string (length row) :initial-element #\Space)) rows)))
    (loop for (column row) in (apply #'edge-points rows)
          do (setf (char (nth row drawn) column) #\o))
    drawn))
