;;;; Keeps the compiler from propagating constraints: it does so only while speed is not less
;;;; important than the speed of compilation.

(eval-when (:execute)
  (sb-ext:restrict-compiler-policy 'compilation-speed 2))
