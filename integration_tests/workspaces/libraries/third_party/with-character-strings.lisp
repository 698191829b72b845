;;;; Keeps the reader from making base strings: a test that compares printed strings expects the
;;;; implementation's usual ones.

(eval-when (:execute)
  (setf (sb-ext:readtable-base-char-preference *readtable*) :symbols))
