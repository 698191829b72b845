;;;; What a program knows of the code in it that notes what of it runs, and how that is written when the
;;;; program ends.
;;;;
;;;; A test finds the name of a directory in `COVERAGE_DIR`. Each process of a program with such code
;;;; leaves a file there:
;;;;
;;;;     program NAME
;;;;     key NAME COUNT       for each source file, as its map has them
;;;;     load RANGE…          the marks that were set while the program was made
;;;;     absent RANGE…        those that the compiler has shown to be of code that cannot run
;;;;     hit RANGE…           those that were set since then
;;;;     end
;;;;
;;;; A RANGE is a number or FIRST-LAST. A file without an end is of a process that was killed.

(in-package "RBZ.COVERAGE")

(defstruct (instrumented (:constructor make-instrumented (key count codes load absent)))
  "The instrumented code of one source file."
  (key "" :type string :read-only t)
  (count 0 :type fixnum :read-only t)
  ;; Conses of a weak pointer to code and a vector with, for each byte of its marks, the list of the
  ;; numbers of the marks that it stands for.
  (codes '() :type list :read-only t)
  (load #* :type simple-bit-vector :read-only t)
  (absent #* :type simple-bit-vector :read-only t))

(defvar *instrumented* '()
  "The instrumented code of this program.")

(defvar *loaded* '()
  "The code objects with marks that were loaded into this image; what ran only once is garbage else.")

;;; Marks in code objects

(defun coverage-map (code)
  "For each byte of the marks of CODE the list of source paths that it stands for, or nil."
  (let ((last (sb-kernel:code-header-ref code (1- (sb-kernel:code-header-words code)))))
    (and (typep last '(cons (eql sb-c::coverage-map))) (rest last))))

(defun call-with-marks (code function)
  "Call FUNCTION with the address of the marks of CODE."
  (sb-sys:with-pinned-objects (code)
    (funcall function (sb-sys:sap+ (sb-kernel:code-instructions code)
                                   (* sb-vm:n-word-bytes (sb-kernel:code-jump-table-words code))))))

(defun note-hits (code numbers bits)
  "Set in BITS what is marked in CODE; NUMBERS say which mark each byte is."
  (call-with-marks code (lambda (marks)
                          (loop for list across numbers
                                for index from 0
                                unless (zerop (sb-sys:sap-ref-8 marks index))
                                  do (dolist (number list) (setf (sbit bits number) 1))))))

(defun reset-marks (code count)
  "Take back what is marked in CODE, which has COUNT bytes of marks."
  (call-with-marks code (lambda (marks)
                          (dotimes (index count) (setf (sb-sys:sap-ref-8 marks index) 0)))))

;;; While an image is made

(defun call-noting-code (function)
  "Call FUNCTION, which loads files into the image, and keep all code that has marks."
  (sb-int:encapsulate 'sb-fasl::possibly-log-new-code 'rbz-coverage
                      (lambda (log code &rest arguments)
                        (when (coverage-map code) (push code *loaded*))
                        (apply log code arguments)))
  (unwind-protect (funcall function)
    (sb-int:unencapsulate 'sb-fasl::possibly-log-new-code 'rbz-coverage)))

(defun source-name (code)
  "What the file is called that CODE is of."
  (sb-int:debug-source-namestring (sb-c::debug-info-source (sb-kernel:%code-debug-info code))))

(defun prepare-marks ()
  "Make the image ready to be saved: what was marked so far is that of its making."
  (let ((by-file (make-hash-table :test 'equal)))
    (dolist (code (shiftf *loaded* '()))
      (push code (gethash (source-name code) by-file)))
    (maphash (lambda (key records)
               (let ((codes (gethash key by-file)))
                 (when codes (push (instrumented key records codes) *instrumented*))))
             (first sb-c:*code-coverage-info*))
    (when *instrumented* (write-marks-at-exit))))

(defun instrumented (key records codes)
  "The instrumented code of the file KEY, of which the FASL lists the RECORDS."
  (let* ((numbers (make-hash-table :test 'equal))
         (count (length records))
         (load (make-array count :element-type 'bit :initial-element 0))
         (absent (make-array count :element-type 'bit :initial-element 1)))
    (loop for (path) in records
          for number from 0
          do (setf (gethash path numbers) number))
    (flet ((numbers-of (code)
             (map 'simple-vector
                  (lambda (paths)
                    (loop for path in paths
                          for number = (gethash path numbers)
                          when number
                            do (setf (sbit absent number) 0) and collect number))
                  (coverage-map code))))
      (let ((codes (loop for code in codes
                         for numbers = (numbers-of code)
                         do (note-hits code numbers load)
                            (reset-marks code (length numbers))
                         collect (cons (sb-ext:make-weak-pointer code) numbers))))
        (make-instrumented key count codes load absent)))))

(defun write-marks-at-exit ()
  "Let every way out of the program write its marks: all of them come by this function."
  ;; The image may be made of one where it does.
  (unless (sb-int:encapsulated-p 'sb-sys:os-exit 'rbz-coverage)
    (sb-int:encapsulate 'sb-sys:os-exit 'rbz-coverage
                        (lambda (exit &rest arguments)
                          (write-marks)
                          (apply exit arguments)))))

;;; While the program runs

(defvar *file* nil
  "The native path of the file of this process, once it is there.")

(defvar *process* 0
  "The process that *FILE* is of.")

(defun new-file ()
  "Make the file of this process and return its native path; nil if nobody asks for one."
  (let ((directory (sb-ext:posix-getenv "COVERAGE_DIR")))
    (when (and directory (string/= directory "") *instrumented*)
      (setf *process* (sb-unix:unix-getpid)
            *file* (loop for number from 0
                         for path = (format nil "~a/lisp-~d-~d.marks" directory *process* number)
                         when (with-open-file (out (sb-ext:parse-native-namestring path)
                                                   :direction :output :if-exists nil
                                                   :external-format :utf-8)
                                (when out (write-program out) t))
                           return path)))))

(defun write-program (out)
  "Write which program this is."
  (format out "program ~a~%" (substitute #\Space #\Newline (or (first sb-ext:*posix-argv*) "?"))))

(defun begin-marks ()
  "Say that this process has begun; if it is killed, that is all that is known of it."
  (ignore-errors (new-file)))

(defun write-marks ()
  "Write what was marked in this process, if anybody asks for it. A forked process has a file of its
own."
  (handler-case
      (let ((path (if (and *file* (= *process* (sb-unix:unix-getpid))) *file* (new-file))))
        (when path
          (with-open-file (out (sb-ext:parse-native-namestring path)
                               :direction :output :if-exists :supersede :external-format :utf-8)
            (write-program out)
            (dolist (file *instrumented*) (write-file-marks file out))
            (format out "end~%"))))
    (error (condition)
      (format *error-output* "coverage: cannot write what ran: ~a~%" condition))))

(defun write-file-marks (file out)
  "Write the marks of the code of FILE to OUT."
  (let ((hits (make-array (instrumented-count file) :element-type 'bit :initial-element 0)))
    (loop for (pointer . numbers) in (instrumented-codes file)
          for code = (sb-ext:weak-pointer-value pointer)
          do (when code (note-hits code numbers hits)))
    (format out "key ~a ~d~%" (instrumented-key file) (instrumented-count file))
    (write-ranges "load" (instrumented-load file) out)
    (write-ranges "absent" (instrumented-absent file) out)
    (write-ranges "hit" hits out)))

(defun write-ranges (name bits out)
  "Write which of BITS are set."
  (write-string name out)
  (loop for start = (position 1 bits) then (position 1 bits :start end)
        for end = (and start (or (position 0 bits :start start) (length bits)))
        while start
        do (if (= (1+ start) end)
               (format out " ~d" start)
               (format out " ~d-~d" start (1- end)))
        while (< end (length bits)))
  (terpri out))
