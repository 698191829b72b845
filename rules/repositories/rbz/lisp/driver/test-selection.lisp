;;;; Which cases are to run: patterns of names, and shards.
;;;;
;;;; A pattern is the name of a test or of a suite; `package:name`; or `suite/name`, with all the suites
;;;; that it is in. `*` and `?` stand for any characters and for one; case does not matter. One that
;;;; begins with `-` leaves out what it matches.

(in-package "RBZ.TEST")

(defun split-pattern (text)
  "The patterns in TEXT, which have commas between them."
  (remove "" (mapcar (lambda (part) (string-trim " " part)) (bazel.utils:split text :by #\,))
          :test #'string=))

(defun glob-matches-p (pattern text &optional (at 0) (start 0))
  "True if PATTERN from AT matches all of TEXT from START."
  (loop
    (cond ((= at (length pattern)) (return (= start (length text))))
          ((char= (char pattern at) #\*)
           (return (loop for from from start to (length text)
                         thereis (glob-matches-p pattern text (1+ at) from))))
          ((= start (length text)) (return nil))
          ((or (char= (char pattern at) #\?) (char= (char pattern at) (char text start)))
           (incf at)
           (incf start))
          (t (return nil)))))

(defun names-of (case)
  "Every string that a pattern for CASE may be, in lower case."
  (flet ((forms (name)
           (let* ((shown (string-downcase (shown-name name)))
                  (package (and (symbolp name) (symbol-package name))))
             (cons shown
                   (when (and package (not (eq package (find-package "KEYWORD"))))
                     (loop for prefix in (cons (package-name package) (package-nicknames package))
                           collect (format nil "~(~a~):~a" prefix shown)))))))
    (list* (string-downcase (case-path case))
           (mapcan #'forms (cons (case-name case) (case-suites case))))))

(defun normal-pattern (pattern)
  "PATTERN in lower case, without what only the reader needs: `:name`, `#:name`, `pkg::name`."
  (let* ((pattern (string-left-trim "#:'" (string-downcase pattern)))
         (colons (search "::" pattern)))
    (if colons
        (concatenate 'string (subseq pattern 0 colons) (subseq pattern (1+ colons)))
        pattern)))

(defun matches-p (pattern case)
  "True if PATTERN, without a leading `-`, matches CASE."
  (let ((pattern (normal-pattern pattern)))
    (some (lambda (name) (or (string= pattern name) (glob-matches-p pattern name)))
          (names-of case))))

(defun excluding-p (pattern)
  "True if PATTERN leaves out what it matches."
  (and (> (length pattern) 1) (char= (char pattern 0) #\-)))

(defun select (patterns cases)
  "Those of CASES that PATTERNS want: all if there are none."
  (let ((wanted (remove-if #'excluding-p patterns))
        (unwanted (mapcar (lambda (pattern) (subseq pattern 1))
                          (remove-if-not #'excluding-p patterns))))
    (flet ((matched (patterns case) (some (lambda (pattern) (matches-p pattern case)) patterns)))
      (remove-if (lambda (case)
                   (or (and wanted (not (matched wanted case))) (matched unwanted case)))
                 cases))))

(defun without-match (patterns cases)
  "The first of PATTERNS that matches none of CASES, or nil."
  (find-if (lambda (pattern)
             (let ((pattern (if (excluding-p pattern) (subseq pattern 1) pattern)))
               (notany (lambda (case) (matches-p pattern case)) cases)))
           patterns))

(defun shard (cases index total)
  "The part of CASES that shard INDEX, from 0, of TOTAL runs."
  (loop for case in cases
        for number from 0
        when (= index (mod number total)) collect case))

(defun known-names (cases)
  "The names of suites, then of tests, for messages; at most 12."
  (let ((names (append (mapcan (lambda (case) (mapcar #'shown-name (case-suites case))) cases)
                       (mapcar (lambda (case) (shown-name (case-name case))) cases))))
    (setf names (remove-duplicates names :test #'string= :from-end t))
    (if (> (length names) 12)
        (append (subseq names 0 12) '("…"))
        names)))
