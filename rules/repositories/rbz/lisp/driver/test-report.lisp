;;;; The report of a test program: `test.xml`, in the form of JUnit, and what is printed of a case that
;;;; did not pass.
;;;;
;;;; The file is whole at any moment: before a case begins it is written as one that did not end. So
;;;; whatever becomes of the process, the report says what ran and what was running.

(in-package "RBZ.TEST")

(defstruct (report (:constructor make-report (stream name total)))
  "The file of a report under construction; without a STREAM nothing is written. END is where the cases
end that are done."
  (stream nil :read-only t)
  (name "" :type string :read-only t)
  (total 0 :type unsigned-byte)
  (end 0 :type unsigned-byte)
  (failed 0 :type unsigned-byte)
  (errors 0 :type unsigned-byte)
  (skipped 0 :type unsigned-byte)
  (done 0 :type unsigned-byte)
  (start (get-internal-real-time) :read-only t))

(defstruct result
  "What came of a case: its CHECKS in order, and how many SECONDS it took."
  (case nil :read-only t)
  (class "" :type string :read-only t)
  (checks '() :type list :read-only t)
  (seconds 0 :type real :read-only t))

(defun verdict (checks)
  "What CHECKS make of their case: the worst of them. Skipped is a case that did nothing else."
  (flet ((any (verdict) (find verdict checks :key #'check-verdict)))
    (cond ((any :error) :error)
          ((any :failed) :failed)
          ((and (any :skipped) (not (any :passed))) :skipped)
          (t :passed))))

;;; XML

(defun xml-char-p (char)
  "True of the characters that XML 1.0 can hold."
  (let ((code (char-code char)))
    (or (member code '(9 10 13)) (<= #x20 code #xD7FF) (<= #xE000 code #xFFFD) (<= #x10000 code))))

(defun escaped (text)
  "TEXT as it stands in XML, in a value of an attribute too. What XML cannot hold is replaced."
  (with-output-to-string (out)
    (loop for char across text
          do (case char
               (#\& (write-string "&amp;" out))
               (#\< (write-string "&lt;" out))
               (#\> (write-string "&gt;" out))
               (#\" (write-string "&quot;" out))
               ((#\Newline #\Tab #\Return) (format out "&#~d;" (char-code char)))
               (t (write-char (if (xml-char-p char) char (code-char #xFFFD)) out))))))

(defun write-element (out name attributes &optional text)
  "Write an element with ATTRIBUTES, an alternating list of names and strings, to OUT. Those whose value
is nil are left out."
  (format out "<~a~{~@[ ~a~]~}" name
          (loop for (attribute value) on attributes by #'cddr
                when value collect (format nil "~a=\"~a\"" attribute (escaped value))))
  (if text
      (format out ">~a</~a>" (substitute-newlines (escaped text)) name)
      (write-string "/>" out)))

(defun substitute-newlines (text)
  "TEXT, escaped, with line breaks as they are."
  (with-output-to-string (out)
    (loop with start = 0
          for found = (search "&#10;" text :start2 start)
          do (write-string text out :start start :end (or found (length text)))
          while found
          do (terpri out)
             (setf start (+ found 5)))))

(defun seconds-text (seconds)
  "SECONDS for a report."
  (format nil "~,3f" seconds))

(defun case-attributes (case class seconds)
  "The attributes of the element of CASE."
  (let ((place (case-place case)))
    (list "name" (shown-name (case-name case)) "classname" class
          "file" (and place (place-path place))
          "line" (and place (princ-to-string (place-line place)))
          "status" "run" "time" (seconds-text seconds))))

(defun case-xml (result)
  "The element of RESULT, as a string."
  (with-output-to-string (out)
    (let* ((case (result-case result))
           (attributes (case-attributes case (result-class result) (result-seconds result)))
           (troubles (troubles result)))
      (cond ((null troubles) (write-element out "testcase" attributes))
            (t
             (write-open out "testcase" attributes)
             (write-string "      " out)
             (write-troubles out case troubles)
             (terpri out)
             (write-string "    </testcase>" out))))
    (terpri out)))

(defun troubles (result)
  "The checks of RESULT that a report tells of: those that did not pass, if it did not."
  (let* ((checks (result-checks result)) (verdict (verdict checks)))
    (case verdict
      (:passed '())
      (:skipped (list (find :skipped checks :key #'check-verdict)))
      (t (remove-if (lambda (check) (member (check-verdict check) '(:passed :skipped))) checks)))))

(defun write-open (out name attributes)
  "Write the start of an element that has others inside."
  (let ((text (with-output-to-string (text) (write-element text name attributes))))
    (write-string text out :end (- (length text) 2))
    (format out ">~%")))

(defun write-troubles (out case troubles)
  "Write the one element about TROUBLES, the checks of CASE that did not pass."
  (let ((worst (or (find :error troubles :key #'check-verdict) (first troubles))))
    (if (eq (check-verdict worst) :skipped)
        (write-element out "skipped" (list "message" (check-message worst)))
        (write-element out (if (eq (check-verdict worst) :failed) "failure" "error")
                       (list "message" (headline worst case)
                             "type" (or (check-condition-type worst) "failed"))
                       (with-output-to-string (text)
                         (dolist (check troubles) (print-check case check text)))))))

(defun write-at (report position text)
  "Write TEXT at POSITION of the file of REPORT; yields where it ends."
  (let ((stream (report-stream report))
        (octets (sb-ext:string-to-octets text :external-format :utf-8)))
    (file-position stream position)
    (write-sequence octets stream)
    (+ position (length octets))))

(defun head (report unfinished)
  "The beginning of REPORT, always of one length. UNFINISHED is how many cases have begun and not ended."
  (flet ((attributes (level)
           (format nil "<~a name=\"~a\" tests=\"~d\" failures=\"~d\" errors=\"~d\" skipped=\"~d\" time=\"~a\""
                   level (escaped (report-name report)) (+ (report-done report) unfinished)
                   (report-failed report) (+ (report-errors report) unfinished)
                   (report-skipped report)
                   (seconds-text (seconds-since (report-start report))))))
    (let* ((suites (attributes "testsuites"))
           (suite (attributes "testsuite"))
           (length (+ 150 (length (escaped (report-name report))))))
      (format nil "<?xml version=\"1.0\" encoding=\"UTF-8\"?>~%~va>~%  ~va>~%"
              length suites length suite))))

(defun seconds-since (start)
  "How many seconds have gone since START."
  (/ (- (get-internal-real-time) start) internal-time-units-per-second))

(defun write-report (report text unfinished)
  "Let REPORT end with TEXT, elements of cases of which UNFINISHED ones have not ended."
  (when (report-stream report)
    (let ((head (write-at report 0 (head report unfinished))))
      (when (zerop (report-end report)) (setf (report-end report) head)))
    (let* ((before (file-length (report-stream report)))
           (end (write-at report (report-end report) text))
           (tail (write-at report end (format nil "  </testsuite>~%</testsuites>~%"))))
      ;; Blanks may follow: what was there before may have been longer.
      (when (< tail before)
        (write-at report tail (make-string (- before tail) :initial-element #\Space)))
      (finish-output (report-stream report))
      end)))

(defun begin-report (report)
  "Write REPORT without any case."
  (write-report report "" 0))

(defun note-begun (report case class)
  "Write that CASE has begun."
  (let ((text (with-output-to-string (out)
                (write-string "    " out)
                (write-open out "testcase" (case-attributes case class 0))
                (write-string "      " out)
                (write-element out "error" (list "message" "the program ended while this test ran"
                                                 "type" "ended"))
                (format out "~%    </testcase>~%"))))
    (write-report report text 1)))

(defun note-result (report result)
  "Write RESULT, and count it."
  (ecase (verdict (result-checks result))
    (:passed)
    (:failed (incf (report-failed report)))
    (:error (incf (report-errors report)))
    (:skipped (incf (report-skipped report))))
  (incf (report-done report))
  (let ((end (write-report report (concatenate 'string "    " (case-xml result)) 0)))
    (when end (setf (report-end report) end))))

;;; What is printed
;;;
;;;     pkg/t.lisp:12:7: error: test `numbers/sums` failed: (= 5 (plus 2 2))
;;;        12 |   (is (= 5 (plus 2 2)))
;;;           |       ^
;;;       expected: 5
;;;         actual: 4

(defun shown-form (case check)
  "The form of CHECK on one line, as one writes it in the package of CASE."
  (let ((*package* (or (and case (not (eq (case-package case) (find-package "KEYWORD")))
                            (case-package case))
                       (find-package "COMMON-LISP-USER"))))
    (cut (rbz.report:one-spaced (shown-value (check-form check))) 300)))

(defun cut (text length)
  "TEXT, or its first LENGTH characters."
  (if (> (length text) length) (concatenate 'string (subseq text 0 length) "…") text))

(defun headline (check &optional case)
  "What CHECK says in one line."
  (let ((message (check-message check)))
    (cond ((and (check-form-p check) (consp (check-form check))
                (not (eq (check-verdict check) :error)))
           (shown-form case check))
          (message (cut (rbz.report:one-spaced message) 300))
          ((check-form-p check) (shown-form case check))
          (t "a check failed"))))

(defun print-check (case check out)
  "Print a CHECK of CASE that did not pass to OUT, as messages of the compiler are."
  (multiple-value-bind (path line column text) (check-place case check)
    (let ((errorp (eq (check-verdict check) :error))
          (headline (headline check case)))
      (format out "~a~@[:~d~]~@[:~d~]: error: test `~a` ~:[failed~;was ended by an error~]: ~a~%"
              (or path (sb-ext:posix-getenv "TEST_TARGET") "test") line column
              (case-path case) errorp headline)
      (when text
        (format out "~5d | ~a~%      | ~a^~%" line text
                (substitute-if-not #\Space (lambda (char) (char= char #\Tab))
                                   (subseq text 0 (min (1- column) (length text))))))
      (when (and errorp (check-form-p check)) (print-field "form" (shown-form case check) out))
      (when (check-expected check) (print-field "expected" (check-expected check) out))
      (when (check-actual check) (print-field "actual" (check-actual check) out))
      (let ((message (check-message check)))
        (when (and message (not (string= (cut (rbz.report:one-spaced message) 300) headline)))
          (print-field "message" message out)))
      (when (check-condition-type check)
        (format out "  condition: ~a~%" (check-condition-type check))))))

(defun print-field (name text out)
  "Print a line `NAME: TEXT`, or several, indented."
  (let ((lines (remove "" (mapcar (lambda (line) (string-right-trim '(#\Space #\Return #\Tab) line))
                                  (bazel.utils:split text :by #\Newline))
                       :test #'string=)))
    (format out "  ~8@a: ~a~%~{            ~a~%~}" name (or (first lines) "") (rest lines))))
