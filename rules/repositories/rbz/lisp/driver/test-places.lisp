;;;; Where the tests are defined.
;;;;
;;;; Few frameworks remember it. But the form that defines a test begins a line of a source of the
;;;; program, and the name is its second or third word. So the sources are looked through once, when
;;;; the program is saved.

(in-package "RBZ.TEST")

(defun note-places (cases paths)
  "Give each of CASES its place, if one of the sources at PATHS defines it."
  (let ((by-name (make-hash-table :test 'equal)))
    (dolist (case cases)
      (push case (gethash (string-upcase (shown-name (case-name case))) by-name)))
    ;; What is current where a file begins is not known of all.
    (dolist (strictp '(t nil))
      (dolist (path (and (some (complement #'case-place) cases) paths))
        (ignore-errors (note-places-in (rbz.source:read-source path) by-name strictp))))))

(defun note-places-in (source by-name strictp)
  "Give places in SOURCE to the cases in the table BY-NAME: if STRICTP only where their package is
current."
  (let* ((text (rbz.source:source-text source))
         (package (find-package "COMMON-LISP-USER"))
         (line 1)
         (counted 0))
    (loop for start = (form-start text 0) then next
          while start
          for next = (form-start text (1+ start))
          for end = (or next (length text))
          for words = (first-words text (1+ start) end 3)
          do (incf line (count #\Newline text :start counted :end start))
             (setf counted start)
             (cond ((null words))
                   ((string= (bare-name (first words)) "IN-PACKAGE")
                    (setf package (or (find-package (bare-name (or (second words) ""))) package)))
                   ((definer-p (first words))
                    (dolist (word (rest words))
                      (dolist (case (gethash (bare-name word) by-name))
                        (note-place case source (and strictp package) start line end))))))))

(defun form-start (text from)
  "Where the next line begins with a parenthesis, at FROM or after it."
  (if (and (zerop from) (plusp (length text)) (char= (char text 0) #\())
      0
      (let ((found (search #.(coerce '(#\Newline #\() 'string) text :start2 (max 0 (1- from)))))
        (and found (1+ found)))))

(defun first-words (text start end number)
  "The first NUMBER of words between START and END of TEXT, without the parentheses between them."
  (flet ((blank-p (char) (member char '(#\Space #\Tab #\Newline #\Return #\( #\) #\'))))
    (loop repeat number
          for from = (position-if-not #'blank-p text :start start :end end)
          while from
          for stop = (if (char= (char text from) #\")
                         (min end (1+ (or (position #\" text :start (1+ from) :end end) (1- end))))
                         (or (position-if #'blank-p text :start from :end end) end))
          collect (subseq text from stop)
          do (setf start stop))))

(defun bare-name (word)
  "The name of the symbol, or the string, that WORD is: without package, in upper case."
  (let ((word (string-trim "\"|#" word)))
    (string-upcase (subseq word (1+ (or (position #\: word :from-end t) -1))))))

(defun definer-p (word)
  "True if WORD, the operator of a form, may define a test: it is none of the language itself, and
defines no suite."
  (let ((name (bare-name word)))
    (multiple-value-bind (symbol status) (find-symbol name "COMMON-LISP")
      (declare (ignore symbol))
      (not (or (eq status :external) (search "SUITE" name))))))

(defun note-place (case source package start line end)
  "Let CASE be defined at START in SOURCE, where PACKAGE is current if it is given, unless its place is
known."
  (let ((own (case-package case)))
    (when (and (null (case-place case))
               (or (null own) (null package) (eq own package) (eq own (find-package "KEYWORD"))
                   (eq (find-symbol (symbol-name (case-name case)) package) (case-name case))))
      (setf (case-place case)
            (make-place :path (rbz.source:source-path source) :line line
                        :text (coerce (string-right-trim '(#\Newline #\Space)
                                                         (subseq (rbz.source:source-text source) start end))
                                      'simple-string))))))

(defun check-place (case check)
  "Path, line, column and text of the line where CHECK of CASE stands; of where the case is defined
if the form of the check cannot be found; nil if nothing is known."
  (let ((place (case-place case)))
    (when place
      (let* ((source (rbz.source:make-source (place-path place) (place-text place)))
             (*package* (or (and (not (eq (case-package case) (find-package "KEYWORD")))
                                 (case-package case))
                            *package*))
             (position (or (and (check-form-p check) (consp (check-form check))
                                (rbz.source:find-form source (check-form check)))
                           0)))
        (multiple-value-bind (line column) (rbz.source:line-and-column source position)
          (values (place-path place) (+ (place-line place) line -1) column
                  (rbz.source:source-line source position)))))))
