;;;; Making an image ready to be saved, and saving it.

(in-package "RBZ.SAVING")

(defun restore-defaults ()
  "Undo what only the compilation of files needs."
  (setf sb-ext:*evaluator-mode* :compile
        *readtable* (copy-readtable nil)
        *package* (find-package "COMMON-LISP-USER")
        (sb-ext:bytes-consed-between-gcs) (* 53687091 1))
  (let ((dumped (and (find-package "UIOP") (find-symbol "*IMAGE-DUMPED-P*" "UIOP"))))
    (when dumped
      (setf (symbol-value dumped) :executable)
      (call-uiop "CALL-IMAGE-DUMP-HOOK")))
  (sb-ext:disable-debugger))

(defun precompile-generics ()
  "Compute the dispatch of generic functions now, so that no program does it at its start."
  (when (fboundp 'sb-pcl::make-final-dfun-internal)
    (do-all-symbols (symbol)
      (unless (or (null (symbol-package symbol))
                  (sb-int:system-package-p (symbol-package symbol)))
        (dolist (name (list symbol (list 'setf symbol)))
          (let ((function (generic-function-named name)))
            (when (and function (precompilable-p function))
              (ignore-errors
               (multiple-value-call #'sb-pcl::update-dfun
                 function (sb-pcl::make-final-dfun-internal function))))))))))

(defun generic-function-named (name)
  "The generic function of NAME, or nil."
  (let ((function (and (fboundp name)
                       (not (and (symbolp name)
                                 (or (macro-function name) (special-operator-p name))))
                       (fdefinition name))))
    (and (typep function 'standard-generic-function) function)))

(defun precompilable-p (function)
  "True of a generic function whose dispatch can be computed before its first call: accessors find
their slots only in classes that have instances already."
  (notany (lambda (method) (typep method 'sb-mop:standard-accessor-method))
          (sb-mop:generic-function-methods function)))

(defun remove-debug-information ()
  "Take what an optimised program does without: documentation, cross-references and forms of
functions. Functions of the same code become one."
  (bazel.sbcl:remove-extra-debug-info)
  (when (fboundp 'sb-ext::fold-identical-code) (sb-ext::fold-identical-code)))

(defun save-core (path &key toplevel executable image runtime-options compression)
  "Save the image at the native PATH as a program, or as an IMAGE that can run actions too, and end."
  (prepare-to-save :image image)
  (let ((path (native-path path)))
    (apply #'sb-ext:save-lisp-and-die path
           :toplevel toplevel
           :executable (and executable t)
           (append (when runtime-options (list :save-runtime-options t))
                   (when (and compression (member :sb-core-compression *features*))
                     (list :compression (parse-integer compression)))))))

(defun prepare-to-save (&key image)
  "Let the same image give the same bytes when it is saved next: address-space randomisation is off (the
command line sees to that), no thread but this one runs, and what counts time or allocation is set back
at the last moment, after the last collection. An IMAGE can run actions too."
  (cond (image (start-without-finalizers))
        (t (at-last-moment 'forget-finalizers)
           (restore-compiler)))
  (save-by-memory :keep image)
  (at-last-moment 'reset-counters))

(defun save-driver (path &key toplevel)
  "Save the image at the native PATH as one that stays without the thread that runs finalizers, and
end."
  (start-without-finalizers)
  (save-by-memory :keep t)
  (at-last-moment 'reset-counters)
  (sb-ext:save-lisp-and-die (native-path path) :toplevel toplevel))

(defvar *last-moment* '()
  "Functions to call when everything is done that saving a core does in Lisp.")

(defun at-last-moment (function)
  "Call FUNCTION when everything is done that saving a core does in Lisp."
  (setf *last-moment* (append *last-moment* (list function)))
  (sb-int:encapsulate 'sb-impl::stream-deinit 'rbz
                      (lambda (stream-deinit &rest arguments)
                        (sb-int:unencapsulate 'sb-impl::stream-deinit 'rbz)
                        (let ((functions *last-moment*))
                          (setf *last-moment* '())
                          (mapc #'funcall functions))
                        (apply stream-deinit arguments))))

(defun reset-counters ()
  "Set back what differs from run to run."
  (setf sb-ext:*gc-run-time* 0
        sb-kernel::*n-bytes-freed-or-purified* 0))
