;;;; What the system definition of ironclad binds around each compilation.

(eval-when (:execute)
  (setf sb-ext:*inline-expansion-limit* (max 1000 sb-ext:*inline-expansion-limit*)))
