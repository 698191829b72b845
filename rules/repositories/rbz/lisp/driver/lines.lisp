;;;; Which instructions are of which line of a source file: for debuggers of programs that are linked.
;;;;
;;;; The compiler says of instructions from which form they are: the number of the top-level form, and
;;;; the number of the form in it. At which line that form begins is known only while the file is read:
;;;; then it is noted, and kept in the FASL with what else is said there of the source. When a core is
;;;; saved, the two are put together.

(in-package "RBZ.LINES")

;;; While a file compiles
;;;
;;; The line of a form is kept as one number: beside the line, the number of the file, for one source
;;; may be several files. 0 is no line.

(defconstant +line-bits+ 20)

(defun line-and-file (number)
  "The line and the number of the file that are kept as NUMBER."
  (values (ldb (byte +line-bits+ 0) number) (ash number (- +line-bits+))))

(defstruct (noted (:constructor make-noted (source)))
  "The lines of the forms of SOURCE."
  (source nil :type source :read-only t)
  ;; For each top-level form by number, a vector with a line for each form in it.
  (forms (make-array 0 :adjustable t :fill-pointer t) :type vector :read-only t)
  ;; A place in the text, and its line: the next one is not far from there.
  (position 0 :type fixnum)
  (line 1 :type fixnum))

(defun call-noting-lines (source function)
  "Call FUNCTION, which compiles SOURCE; the FASL says at which lines its forms begin."
  (let ((noted (make-noted source)))
    (flet ((find-source-paths (find-source-paths form number)
             (funcall find-source-paths form number)
             (note-form noted number))
           (dump-source-info (dump-source-info info file)
             (let ((sb-c::*source-plist* (list* :rbz-lines (noted-property noted) sb-c::*source-plist*)))
               (funcall dump-source-info info file))))
      (sb-int:encapsulate 'sb-c::find-source-paths 'rbz #'find-source-paths)
      (sb-int:encapsulate 'sb-fasl::fasl-dump-source-info 'rbz #'dump-source-info)
      (unwind-protect (funcall function)
        (sb-int:unencapsulate 'sb-c::find-source-paths 'rbz)
        (sb-int:unencapsulate 'sb-fasl::fasl-dump-source-info 'rbz)))))

(defun note-form (noted number)
  "Note the lines of the forms in the top-level form of this NUMBER, which was just read."
  (let ((subforms (sb-c::file-info-subforms (sb-c::source-info-file-info sb-c::*source-info*)))
        (forms (noted-forms noted)))
    ;; What macros compile and evaluate comes here, too: after the form that they are in.
    (when (and subforms (>= number (length forms)))
      (loop until (> (length forms) number) do (vector-push-extend #() forms))
      (setf (aref forms number) (form-lines noted (form-starts subforms))))))

(defun form-starts (subforms)
  "Where the reader found each form, by the form; SUBFORMS are starts, ends and forms in turn."
  (let ((starts (make-hash-table :test 'eq)))
    (loop for index from 0 below (length subforms) by 3
          for form = (aref subforms (+ index 2))
          when (consp form)
            do (setf (gethash form starts) (aref subforms index)))
    starts))

(defun form-lines (noted starts)
  "The lines of the forms that the compiler has numbered, of which STARTS says where they are."
  (let ((lines (make-array 0 :adjustable t :fill-pointer t)) (line 0))
    (maphash (lambda (form path)
               (let ((start (gethash form starts)))
                 (when (and start (eq (first path) 'sb-c::original-source-start))
                   (let ((number (second path)))
                     (loop until (> (length lines) number) do (vector-push-extend 0 lines))
                     (setf (aref lines number) (line-number noted start))))))
             sb-c::*source-paths*)
    ;; Where the reader was not asked (what quotes and backquotes stand for), the form before it is near.
    (map '(simple-array (unsigned-byte 32) (*))
         (lambda (known) (if (zerop known) line (setf line known)))
         lines)))

(defun line-number (noted position)
  "The line of the character at POSITION of the source, as it is kept."
  (let* ((parts (source-parts (noted-source noted)))
         (part (find position parts :key #'first :test #'>= :from-end t))
         (first-line (if part (line-in-text noted (first part)) 1))
         (line (1+ (- (line-in-text noted position) first-line))))
    (if (< line (ash 1 +line-bits+))
        (logior line (ash (or (position part parts) 0) +line-bits+))
        0)))

(defun line-in-text (noted position)
  "The line of the character at POSITION, in the whole text."
  (let* ((text (source-text (noted-source noted)))
         (position (min position (length text)))
         (last (noted-position noted)))
    (flet ((newlines (start end) (count #\Newline text :start start :end end)))
      (setf (noted-position noted) position)
      (if (< position last)
          (decf (noted-line noted) (newlines position last))
          (incf (noted-line noted) (newlines last position))))))

(defun noted-property (noted)
  "What the FASL keeps: the paths of the files, and the lines of the forms."
  (let ((source (noted-source noted)))
    (cons (mapcar #'source-path (or (mapcar #'rest (source-parts source)) (list source)))
          (coerce (noted-forms noted) 'simple-vector))))

;;; When a core is saved
;;;
;;; What is written is a row of lines: `file PATH`, the first has the number 0; `code SERIAL` for a code
;;; object; and for its instructions `function OFFSET LINE FILE` where the code of a function begins,
;;; and `line OFFSET LINE FILE` where that of another line does, in the order of offsets.

(defun write-lines (path)
  "Write which instructions of the image are of which lines to the native PATH."
  (let ((codes (code-with-lines)) (files (make-hash-table :test 'equal)))
    (with-open-file (out (native-path path) :direction :output :if-exists :supersede :external-format :utf-8)
      (dolist (code codes)
        (let ((paths (mapcar (lambda (file)
                               (or (gethash file files)
                                   (progn (format out "file ~a~%" file)
                                          (setf (gethash file files) (hash-table-count files)))))
                             (first (lines-of code)))))
          (format out "code ~d~%" (sb-kernel:%code-serialno code))
          (loop for (offset number kind) in (rows code)
                do (multiple-value-bind (line file) (line-and-file number)
                     (format out "~(~a~) ~d ~d ~d~%" kind offset line (nth file paths)))))))))

(defun code-with-lines ()
  "The code objects that are of known files, in the order in which they were made."
  (let ((codes '()))
    (sb-vm:map-allocated-objects (lambda (object type size)
                                   (declare (ignore size))
                                   (when (and (= type sb-vm:code-header-widetag) (lines-of object))
                                     (push object codes)))
                                 :immobile)
    (sort codes #'< :key #'sb-kernel:%code-serialno)))

(defun lines-of (code)
  "What the FASL of CODE said of lines, or nil."
  (let ((info (sb-kernel:%code-debug-info code)))
    (when (typep info 'sb-c::compiled-debug-info)
      (let ((source (sb-c::debug-info-source info)))
        (when (typep source 'sb-c::debug-source)
          (getf (sb-c::debug-source-plist source) :rbz-lines))))))

(defun rows (code)
  "Lists of an offset into CODE, a line as it is kept, and what begins there: a :function or a :line."
  (let ((forms (rest (lines-of code))) (rows '()))
    (flet ((row (offset number form kind)
             (let* ((lines (and number (< number (length forms)) (aref forms number)))
                    (line (if (and lines (< form (length lines))) (aref lines form) 0)))
               (unless (zerop line) (push (list offset line kind) rows)))))
      (loop for function = (sb-c::compiled-debug-info-fun-map (sb-kernel:%code-debug-info code))
              then (sb-c::compiled-debug-fun-next function)
            while (typep function 'sb-c::compiled-debug-fun)
            do (dolist (location (locations code function))
                 (row (sb-di::compiled-code-location-pc location)
                      (sb-di:code-location-toplevel-form-offset location)
                      (sb-di:code-location-form-number location)
                      :line))
               (row (sb-c::compiled-debug-fun-offset function)
                    (sb-c::compiled-debug-fun-tlf-number function)
                    (sb-c::compiled-debug-fun-form-number function)
                    :function)))
    (without-repetitions (stable-sort rows #'< :key #'first))))

(defun locations (code function)
  "What the compiler said of the places in a FUNCTION of CODE; nothing in code that is little debuggable."
  (when (sb-c::compiled-debug-fun-blocks function)
    (loop for block across (sb-di::parse-compiled-debug-blocks
                            (sb-di::%make-compiled-debug-fun function code))
          append (coerce (sb-di::compiled-debug-block-code-locations block) 'list))))

(defun without-repetitions (rows)
  "Those of the sorted ROWS that say something new; where several are at one place, a function or the
last counts."
  (let ((result '()))
    (dolist (row rows (nreverse result))
      (destructuring-bind (offset line kind) row
        (let ((last (first result)))
          (cond ((null last) (push row result))
                ((eq kind :function)
                 (when (= (first last) offset) (pop result))
                 (push row result))
                ((= (first last) offset)
                 (when (eq (third last) :line) (setf (second last) line)))
                ((/= (second last) line) (push row result))))))))
