;;;; The tool of the rule `message_catalog`: from message files to Lisp source.
;;;;
;;;; usage: compiler OUTPUT PACKAGE LANGUAGE=FILE...

(defpackage #:catalog-compiler
  (:use #:common-lisp)
  (:export #:main))

(in-package #:catalog-compiler)

(defun read-messages (path)
  "The (key . text) of each line of the file at PATH."
  (with-open-file (in path :external-format :utf-8)
    (loop for line = (read-line in nil)
          while line
          for tab = (or (position #\Tab line)
                        (error "~A: no tab in line ~S" path line))
          collect (cons (subseq line 0 tab) (subseq line (1+ tab))))))

(defun collect-messages (arguments)
  "An alist from (language . key) to text. ARGUMENTS are texts LANGUAGE=FILE, later ones win."
  (let ((messages '()))
    (dolist (argument arguments (sort messages #'string< :key #'cdar))
      (let ((equals (position #\= argument)))
        (loop for (key . text)
                in (read-messages (sb-ext:parse-native-namestring argument nil
                                                                  *default-pathname-defaults*
                                                                  :start (1+ equals)))
              for entry = (cons (subseq argument 0 equals) key)
              do (setf messages
                       (acons entry text
                              (remove entry messages :key #'car :test #'equal))))))))

(defun main ()
  "Writes the source."
  (destructuring-bind (output package &rest files) (rest sb-ext:*posix-argv*)
    (with-open-file (out output :direction :output :external-format :utf-8)
      (with-standard-io-syntax
        (format out "(defpackage #:~A (:use #:common-lisp) (:export #:message))~%~
                     (in-package #:~:*~A)~%~
                     (defparameter *messages* '~S)~%~
                     (defun message (language key)~%  ~
                       \"The text for KEY in LANGUAGE, or nil.\"~%  ~
                       (cdr (assoc (cons language key) *messages* :test #'equal)))~%"
                package (collect-messages files))))))
