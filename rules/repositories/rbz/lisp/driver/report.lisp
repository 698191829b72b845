;;;; How findings of the compiler are printed, for people and for editors.
;;;;
;;;;     pkg/file.lisp:3:5: warning: The variable Y is defined but never used.
;;;;        3 | (defun f (x y)
;;;;          |          ^
;;;;       in: (defun f (x y)
;;;;       condition: sb-int:simple-style-warning
;;;;       hint: nowarn = ["unused-variable"] silences it

(in-package "RBZ.REPORT")

(defstruct finding
  "One condition of a source file. Without a POSITION it concerns the file as a whole."
  (severity :error :type (member :error :warning :note))
  (text "" :type string)
  (position nil :type (or null unsigned-byte))
  (form-start nil :type (or null unsigned-byte))
  (condition-type nil)
  (hint nil :type (or null string))
  (fails-p t))

(defun one-spaced (text)
  "TEXT on one line: runs of blanks become one space."
  (with-output-to-string (out)
    (let ((blank nil) (started nil))
      (loop for char across text
            do (cond ((member char '(#\Space #\Newline #\Tab #\Return)) (setf blank t))
                     (t (when (and blank started) (write-char #\Space out))
                        (setf blank nil started t)
                        (write-char char out)))))))

(defun condition-text (condition)
  "What CONDITION says, on one line, without the compiler's references to manuals."
  (let ((text (without (one-spaced (full-text (innermost condition)))
                       " Use *BREAK-ON-SIGNALS* to intercept.")))
    (cond ((string= text "") (type-text condition))
          ((< (length text) 500) text)
          ;; Some print the insides of the compiler.
          (t (concatenate 'string (subseq text 0 500) "…")))))

(defun innermost (condition)
  "The condition that CONDITION wraps, if it is one of the compiler's wrappers, else CONDITION."
  (or (and (typep condition 'sb-int:encapsulated-condition)
           (ignore-errors (sb-int:encapsulated-condition condition)))
      condition))

(defun full-text (condition &aux (package *package*))
  "What CONDITION says, with the symbols of the current package bare. What a reader error says of
its stream is left out: the place is shown."
  (handler-case
      (with-standard-io-syntax
        (let ((*package* package)
              (*print-readably* nil)
              ;; Some of SBCL's messages have line breaks for blanks; they become blanks again.
              (*print-pretty* t)
              (*print-right-margin* 10000)
              (*print-length* 12)
              (*print-level* 6)
              (sb-int:*print-condition-references* nil))
          (typecase condition
            (sb-int:stream-decoding-error
             (format nil "the bytes~{ ~(~2,'0x~)~} are no text in the encoding ~(~a~)"
                     (coerce (sb-int:character-decoding-error-octets condition) 'list)
                     (stream-external-format (stream-error-stream condition))))
            (end-of-file "end of file in the middle of a form: a parenthesis, string or comment is not closed")
            ((and reader-error simple-condition)
             (apply #'format nil (simple-condition-format-control condition)
                    (simple-condition-format-arguments condition)))
            (t (princ-to-string condition)))))
    (error () (format nil "~a (its report failed)" (type-text condition)))))

(defun without (text part)
  "TEXT without the first occurrence of PART."
  (let ((start (search part text)))
    (if start
        (concatenate 'string (subseq text 0 start) (subseq text (+ start (length part))))
        text)))

(defun type-text (condition)
  "The name of CONDITION's type, in lower case with its package."
  (let ((*package* (find-package :keyword)) (*print-case* :downcase))
    (prin1-to-string (type-of condition))))

(defun print-finding (finding source stream)
  "Print FINDING of SOURCE as shown at the top of this file."
  (let ((position (finding-position finding)))
    (if position
        (multiple-value-bind (source position) (part-at source position)
          (multiple-value-bind (line column) (line-and-column source position)
            (format stream "~a:~d:~d: ~(~a~): ~a~%"
                    (source-path source) line column
                    (finding-severity finding) (finding-text finding))
            (let ((text (source-line source position)))
              (format stream "~5d | ~a~%      | ~a^~%" line text
                      ;; Tabs stay tabs, so that the mark stands under its character.
                      (substitute-if-not #\Space (lambda (char) (char= char #\Tab))
                                         (subseq text 0 (min (1- column) (length text))))))))
        (format stream "~a: ~(~a~): ~a~%"
                (source-path source) (finding-severity finding) (finding-text finding)))
    (when (finding-form-start finding)
      (format stream "  in: ~a~%" (form-head source (finding-form-start finding))))
    (when (finding-condition-type finding)
      (format stream "  condition: ~a~%" (finding-condition-type finding)))
    (when (finding-hint finding)
      (format stream "  hint: ~a~%" (finding-hint finding)))))

(defun print-findings (findings source &optional (stream *error-output*))
  "Print FINDINGS of SOURCE in the order of the text; those without a place come last."
  (dolist (finding (stable-sort (copy-list findings) #'<
                                :key (lambda (finding)
                                       (or (finding-position finding) most-positive-fixnum))))
    (print-finding finding source stream))
  (finish-output stream))

(defun print-failure (path text &key hint condition (severity "error") (stream *error-output*))
  "Print that TEXT went wrong with the file at PATH."
  (format stream "~a: ~a: ~a~%" path severity text)
  (when condition (format stream "  condition: ~a~%" (type-text condition)))
  (when hint (format stream "  hint: ~a~%" hint))
  (finish-output stream))

(defun file-error-within (condition)
  "The file error that CONDITION is, or that the compiler reports by it; nil if it is another."
  (typecase condition
    (file-error condition)
    (simple-condition
     (find-if (lambda (argument) (typep argument 'file-error))
              (simple-condition-format-arguments condition)))))

(defun note-missing-input (condition)
  "Tell the build which file CONDITION is about, if it is about one that is not there: it may be an
undeclared input."
  (let* ((file-error (file-error-within condition))
         (list (sb-ext:posix-getenv "RBZ_MISSING_INPUTS"))
         (path (and file-error
                    (ignore-errors (sb-ext:native-namestring (file-error-pathname file-error))))))
    (when (and list path)
      (with-open-file (out (sb-ext:parse-native-namestring list)
                           :direction :output :if-exists :append :if-does-not-exist :create
                           :external-format :utf-8)
        (write-line path out)))))
