;;;; Prints the systems that the definition file named last on the command line defines, as plain
;;;; forms: what macros and computation made of it.

(let* ((path (truename (uiop:parse-native-namestring (first (last (uiop:raw-command-line-arguments))))))
       (directory (uiop:pathname-directory-pathname path))
       (features *features*))
  (asdf:initialize-source-registry '(:source-registry :ignore-inherited-configuration))
  ;; Only names of other systems count, not what is in them.
  (setf asdf:*system-definition-search-functions*
        (append asdf:*system-definition-search-functions*
                (list (lambda (name) (make-instance 'asdf:system :name name)))))
  (handler-bind ((warning #'muffle-warning))
    (let ((*standard-output* (make-broadcast-stream)))
      (asdf:load-asd path)))
  (flet ((plain (component)
           (list :file (uiop:native-namestring
                        (uiop:enough-pathname (asdf:component-pathname component) directory)))))
    (with-standard-io-syntax
      (let ((*print-readably* nil))
        (dolist (feature (set-difference *features* features))
          (print `(pushnew ,feature *features*)))
        (dolist (name (reverse (asdf:registered-systems)))
          (let* ((system (asdf:registered-system name))
                 (file (asdf:system-source-file system)))
            (when (and file (equal (truename file) path))
              (print `(defsystem ,name
                        :depends-on ,(asdf:system-depends-on system)
                        :components ,(mapcar #'plain
                                             (asdf:required-components
                                              system :other-systems nil
                                                     :component-type 'asdf:cl-source-file)))))))))))
