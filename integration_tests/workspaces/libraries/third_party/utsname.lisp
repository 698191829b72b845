;;;; What the test suite wants to know of <sys/utsname.h>, as glibc lays it out on Linux: six
;;;; arrays of 65 characters. CFFI's groveller would ask a C compiler.

(in-package :trivial-features-tests)

(cffi:defcstruct (utsname :size 390)
  (sysname :char :offset 0)
  (nodename :char :offset 65)
  (release :char :offset 130)
  (version :char :offset 195)
  (machine :char :offset 260))
