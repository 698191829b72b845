;;;; Makes the core that the driver is built in, SBCL as it is but without the thread that runs
;;;; finalizers: `sbcl … --load base.lisp OUTPUT`.
;;;;
;;;; The thread is started before anything of ours can run, and takes memory while the main thread
;;;; does; which of the two comes first is decided by the load of the machine. Hash codes are made of
;;;; addresses, so the order would show in every core. Here nothing is compiled, which would make types
;;;; with such codes; and what the thread left behind is not saved.

(in-package "COMMON-LISP-USER")

(setf sb-ext:*evaluator-mode* :interpret)

(when (fboundp 'sb-impl::finalizer-thread-start)
  (sb-int:encapsulate 'sb-impl::finalizer-thread-start :rbz (constantly nil)))

;; That one function calls another directly is for later: it means reading all machine code.
(when (fboundp 'sb-vm::statically-link-core)
  (sb-int:encapsulate 'sb-vm::statically-link-core 'rbz
                      (lambda (function &rest arguments)
                        (declare (ignore function arguments))
                        (sb-int:unencapsulate 'sb-vm::statically-link-core 'rbz))))

;; As late as can be, after the last collection.
(sb-int:encapsulate 'sb-impl::stream-deinit 'rbz
                    (lambda (function &rest arguments)
                      (sb-int:unencapsulate 'sb-impl::stream-deinit 'rbz)
                      (setf sb-ext:*gc-run-time* 0
                            sb-kernel::*n-bytes-freed-or-purified* 0
                            sb-ext:*evaluator-mode* :compile)
                      (apply function arguments)))

(sb-ext:save-lisp-and-die (sb-ext:parse-native-namestring (second sb-ext:*posix-argv*)))
