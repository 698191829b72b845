;;;; The library's examples say (require :esrap): its system definition does this once it is loaded.

(provide :esrap)
