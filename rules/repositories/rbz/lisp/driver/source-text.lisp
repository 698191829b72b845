;;;; The text of a source file: lines, columns, and where a form of a given source path stands.

(in-package "RBZ.SOURCE")

(defvar *encodings* (make-hash-table :test 'equal)
  "The external formats of sources that are not UTF-8, by path.")

(defun note-encoding (path encoding)
  "Remember that the source at PATH is written in ENCODING, a string."
  (setf (gethash path *encodings*) (intern (string-upcase encoding) :keyword)))

(defun encoding-of (path)
  "The external format of the source at PATH."
  (values (gethash path *encodings* :utf-8)))

(defstruct (source (:constructor make-source (path text &optional parts)))
  "A source file as it was when it was read, or several PARTS, one after the other."
  (path "" :type string :read-only t)
  (text "" :type string :read-only t)
  (parts '() :type list :read-only t))

(defun read-source (path)
  "The source file at the native PATH; bytes that are no text are replaced, for we only show it."
  (with-open-file (stream (sb-ext:parse-native-namestring path)
                          :external-format (list (encoding-of path) :replacement #\?))
    (let* ((text (make-string (file-length stream)))
           (end (read-sequence text stream)))
      (make-source path (subseq text 0 end)))))

(defun join-sources (path sources between)
  "SOURCES as one text under PATH, each after the string BETWEEN."
  (let ((start 0))
    (make-source path
                 (apply #'concatenate 'string
                        (loop for source in sources
                              collect between collect (source-text source)))
                 (loop for source in sources
                       for from = (+ start (length between))
                       do (setf start (+ from (length (source-text source))))
                       collect (cons from source)))))

(defun part-at (source position)
  "The source that the character at POSITION of SOURCE is from, and where it stands there."
  (let ((part (find position (source-parts source) :key #'first :test #'>= :from-end t)))
    (if part
        (values (rest part) (- position (first part)))
        (values source position))))

(defun line-and-column (source position)
  "Line and column, both from 1, of the character at POSITION."
  (let* ((text (source-text source))
         (end (min position (length text)))
         (newline (position #\Newline text :end end :from-end t)))
    (values (1+ (count #\Newline text :end end))
            (- end (if newline newline -1)))))

(defun position-of (source line column)
  "The position of COLUMN, from 0, in LINE, from 1."
  (let ((text (source-text source)) (start 0))
    (loop repeat (1- line)
          for newline = (position #\Newline text :start start)
          while newline
          do (setf start (1+ newline)))
    (min (+ start (max 0 (1- column))) (length text))))

(defun position-at-octet (source octet)
  "The position of the character that begins OCTET bytes into the file: UTF-8, or one byte for each."
  (let ((text (source-text source)) (octets 0)
        (utf-8-p (eq (encoding-of (source-path source)) :utf-8)))
    (or (position-if (lambda (char)
                       (prog1 (>= octets octet)
                         (incf octets (if utf-8-p (utf-8-length char) 1))))
                     text)
        (length text))))

(defun utf-8-length (char)
  "How many bytes CHAR takes in UTF-8."
  (let ((code (char-code char)))
    (cond ((< code #x80) 1) ((< code #x800) 2) ((< code #x10000) 3) (t 4))))

(defun source-line (source position)
  "The line of text that POSITION is in."
  (let* ((text (source-text source))
         (at (min position (length text)))
         (start (position #\Newline text :end at :from-end t))
         (end (position #\Newline text :start at)))
    (string-right-trim '(#\Return) (subseq text (if start (1+ start) 0) end))))

(defun form-head (source position)
  "The first line of the top-level form at POSITION, cut to what a reader takes in at a glance."
  (let* ((text (source-text source))
         (end (or (position #\Newline text :start (min position (length text))) (length text)))
         (head (string-trim '(#\Space #\Return #\Tab) (subseq text (min position end) end))))
    (if (> (length head) 60) (concatenate 'string (subseq head 0 60) "…") head)))

;;; Where forms stand
;;;
;;; The compiler names a form by its source path: the number of its top-level form, then the index
;;; in each list on the way down. The reader does not tell where it found a list, so the text of
;;; the top-level form is read again, with a readtable whose macro characters note start and end.

(defun skip-blank (text position)
  "The position of the first character at or after POSITION that is neither blank nor comment."
  (loop
    (setf position (position-if-not (lambda (char) (member char '(#\Space #\Tab #\Newline #\Return #\Page)))
                                    text :start (min position (length text))))
    (cond ((null position) (return (length text)))
          ((char= (char text position) #\;)
           (setf position (or (position #\Newline text :start position) (length text))))
          ((and (char= (char text position) #\#) (eql (char-after text position) #\|))
           (setf position (end-of-block-comment text position)))
          (t (return position)))))

(defun char-after (text position)
  "The character after the one at POSITION, if there is one."
  (when (< (1+ position) (length text)) (char text (1+ position))))

(defun end-of-block-comment (text start)
  "The position after the nested comment that starts at START."
  (loop with depth = 0
        with position = start
        while (< position (length text))
        do (let ((char (char text position)) (next (char-after text position)))
             (cond ((and (char= char #\#) (eql next #\|)) (incf depth) (incf position 2))
                   ((and (char= char #\|) (eql next #\#))
                    (decf depth)
                    (incf position 2)
                    (when (zerop depth) (return position)))
                   (t (incf position))))
        finally (return (length text))))

(defun recording-readtable (readtable starts)
  "A copy of READTABLE that notes in the hash table STARTS where each cons was read,
counted from where the stream starts."
  (let ((copy (copy-readtable readtable)))
    ;; What `#.` evaluates may have effects, and its value's place is of no interest.
    (set-dispatch-macro-character #\# #\. (lambda (stream char argument)
                                            (declare (ignore char argument))
                                            (list 'read-time (read stream t nil t)))
                                  copy)
    (dolist (char '(#\( #\' #\`) copy)
      (let ((function (get-macro-character char readtable)))
        (when function
          (set-macro-character
           char
           (lambda (stream char)
             (let ((start (1- (file-position stream)))
                   (form (funcall function stream char)))
               (when (consp form) (setf (gethash form starts) start))
               form))
           nil copy))))))

(defun form-position (source start path)
  "The position of the form that the source PATH (without the top-level form's number) leads to.
START is the position of its top-level form or of blanks before it. Where the way down cannot be
followed to its end (reader macros, backquotes), the deepest form that was found counts."
  (let* ((text (source-text source))
         (start (skip-blank text start))
         (best start)
         (starts (make-hash-table :test 'eq)))
    (ignore-errors
     (let ((form (with-input-from-string (stream text :start start)
                   (let ((*readtable* (recording-readtable *readtable* starts))
                         (*read-eval* nil))
                     (read stream)))))
       ;; What was read may stand after a `#+` that is part of the top-level form.
       (setf best (+ start (gethash form starts 0)))
       (dolist (index path)
         (unless (and (consp form) (ignore-errors (nthcdr index form))) (return))
         (setf form (nth index form))
         (let ((found (and (consp form) (gethash form starts))))
           (when found (setf best (+ start found)))))))
    best))

(defun end-of-form (source start)
  "Where the form after the one that starts at START begins."
  (let ((text (source-text source)))
    (skip-blank text
                (or (ignore-errors
                     (let ((*readtable* (recording-readtable *readtable* (make-hash-table)))
                           (*read-eval* nil))
                       (nth-value 1 (read-from-string text t nil :start start))))
                    start))))

(defun last-form-before (source end)
  "Where the last top-level form begins that begins before END."
  (loop with text = (source-text source)
        for start = (skip-blank text 0) then next
        for next = (end-of-form source start)
        while (< start next end)
        finally (return start)))

(defun find-form (source form)
  "Where a form that is the same as FORM stands in the first top-level form of SOURCE, or nil."
  (let ((text (source-text source))
        (starts (make-hash-table :test 'eq)))
    (ignore-errors
     (with-input-from-string (stream text)
       (let ((*readtable* (recording-readtable *readtable* starts))
             (*read-eval* nil))
         (read stream))))
    (loop for cons being the hash-keys of starts using (hash-value start)
          when (equalp cons form) minimize start into first
          finally (return (and first (plusp first) first)))))
