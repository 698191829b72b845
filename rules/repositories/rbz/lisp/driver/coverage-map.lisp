;;;; Where in its source code stands that notes what of it runs: what coverage has to be made of marks.
;;;;
;;;; The compiler gives each form that it instruments a mark, named by the form's source path, and each
;;;; branch two, named `:then` and `:else` of the path of its test. The marks of a file are numbered in
;;;; the order in which the FASL lists them. While the file is read it is known where its forms stand,
;;;; whatever readtable, features and packages it has; then the map is written:
;;;;
;;;;     key NAME                      what the program calls the file
;;;;     marks COUNT
;;;;     source PATH                   what follows is about this source
;;;;     unit MARK LINE COLUMN LINE COLUMN
;;;;     line LINE MARK…               the marks that decide whether the line ran
;;;;     branch LINE COLUMN THEN ELSE  either is a mark or `-`
;;;;     function LINE COLUMN LINE COLUMN NAME
;;;;     uninstrumented TEXT           in place of all that: why there are no marks
;;;;
;;;; Lines and columns count from 1, and what is at the second place is no longer part of it.

(in-package "RBZ.COVERAGE-MAP")

;;; Forms and their places

(defstruct (node (:constructor make-node (start end object children)))
  "An object that the reader made of the characters from START to before END."
  (start 0 :type fixnum :read-only t)
  (end 0 :type fixnum :read-only t)
  (object nil :read-only t)
  ;; Those that were read within, in their order.
  (children '() :type list :read-only t))

(defun tree (events)
  "The node of a top-level form. EVENTS are start, end and object of all that was read, in turn; what is
inside of something comes before it."
  (let ((open '()))
    (loop for index from 0 below (length events) by 3
          for start = (aref events index)
          do (let ((children '()))
               (loop while (and open (>= (node-start (first open)) start))
                     do (push (pop open) children))
               (push (make-node start (aref events (1+ index)) (aref events (+ index 2)) children) open)))
    (first open)))

(defun innermost-node (node)
  "The node of what was read as NODE, without `#+` and what else stands before it."
  (loop for same = (and (consp (node-object node))
                        (find (node-object node) (node-children node) :key #'node-object :from-end t))
        while same do (setf node same)
        finally (return node)))

(defun element-nodes (node)
  "The nodes of the elements of the list that NODE is, nil for those that stand nowhere."
  (let* ((node (innermost-node node)) (children (node-children node)))
    (loop for rest = (node-object node) then (cdr rest)
          while (consp rest)
          collect (let ((found (member (car rest) children :key #'node-object)))
                    (when found (setf children (rest found)))
                    (first found)))))

(defun element-node (node index)
  "The node of the element INDEX of the list that NODE is, or nil. Of what a comma stands before, that."
  (let ((found (nth index (element-nodes node))))
    (if (and found (sb-impl::comma-p (node-object found)))
        (find (sb-impl::comma-expr (node-object found)) (node-children found)
              :key #'node-object :from-end t)
        found)))

(defun node-at (node path)
  "The node that PATH, a list of indices, leads to from NODE; nil if it stands nowhere. The second value
is a list of the nodes on the way."
  (let ((way '()))
    (dolist (index path (values node way))
      (push node way)
      (setf node (element-node node index))
      (unless node (return (values nil way))))))

(defun operator (node)
  "The symbol that the form NODE begins with, or nil."
  (let ((object (and node (node-object node))))
    (and (consp object) (symbolp (car object)) (car object))))

;;; What is left out
;;;
;;; The functions of macros run when other code is compiled, in other processes than tests.

(defparameter *expanders*
  '(defmacro define-compiler-macro define-setf-expander define-modify-macro defsetf deftype
    define-symbol-macro)
  "What defines code that runs while other code is compiled.")

(defun expander-p (nodes)
  "True if one of NODES defines such code."
  (some (lambda (node) (member (operator node) *expanders*)) nodes))

;;; While a file compiles

(defstruct (noted (:constructor make-noted (source)))
  "What is known of the file while it is compiled."
  (source nil :type source :read-only t)
  ;; The node of each top-level form, by its number; nil if it is not known.
  (forms (make-array 0 :adjustable t :fill-pointer t) :type vector :read-only t)
  ;; The source paths of the marks, in the order of their numbers: innermost index first.
  (paths '() :type list))

(defun call-mapping (source function)
  "Call FUNCTION, which compiles SOURCE; the second value is what is known of its marks. In the FASL the
file has the name that it has in the workspace."
  (let ((noted (make-noted source)))
    (flet ((find-source-paths (find form number)
             (note-form noted number)
             (funcall find form number))
           (dump-records (dump name records file)
             (declare (ignore name))
             (setf (noted-paths noted) (mapcar #'car records))
             (funcall dump (source-path source) records file)))
      (sb-int:encapsulate 'sb-c::find-source-paths 'rbz-coverage #'find-source-paths)
      (sb-int:encapsulate 'sb-fasl::dump-code-coverage-records 'rbz-coverage #'dump-records)
      (sb-int:encapsulate 'sb-c::best-sub-source-path 'rbz-coverage #'path-of-test)
      (unwind-protect (values (call-without-inlining function) noted)
        (sb-int:unencapsulate 'sb-c::find-source-paths 'rbz-coverage)
        (sb-int:unencapsulate 'sb-fasl::dump-code-coverage-records 'rbz-coverage)
        (sb-int:unencapsulate 'sb-c::best-sub-source-path 'rbz-coverage)))))

(defun note-form (noted number)
  "Note where the top-level form of this NUMBER and all in it stands; it was just read."
  (let ((events (sb-c::file-info-subforms (sb-c::source-info-file-info sb-c::*source-info*)))
        (forms (noted-forms noted)))
    ;; What macros compile and evaluate comes here, too: after the form that they are in.
    (when (and events (>= number (length forms)))
      (loop until (= (length forms) number) do (vector-push-extend nil forms))
      (vector-push-extend (and (plusp (length events)) (tree (copy-seq events))) forms))))

(defun path-of-test (best test)
  "The source path that the marks of a branch on TEST have: what BEST says, and for a variable, which has
none, that of the form which asks for it."
  (or (funcall best test)
      (and (symbolp test) (not (constantp test))
           (let ((form (original-form sb-c::*current-path*)))
             (and (consp form)
                  (member (first form) '(if when unless))
                  (eq (second form) test)
                  sb-c::*current-path*)))))

(defun original-form (path)
  "The form in the file that the compiler is at, if it is the form itself and nothing that a macro made
of it and of others."
  (when (and (consp path) (boundp 'sb-c::*source-info*))
    (let* ((indices (reverse (sb-c::source-path-original-source path)))
           (forms (sb-c::file-info-forms (sb-c::source-info-file-info sb-c::*source-info*)))
           (form (and indices (< (first indices) (length forms)) (aref forms (first indices)))))
      (dolist (index (rest indices) form)
        (when (sb-impl::comma-p form) (setf form (sb-impl::comma-expr form)))
        (unless (and (consp form) (ignore-errors (nthcdr index form))) (return nil))
        (setf form (nth index form))))))

;;; A function that is inlined leaves no mark where it is defined. What the compiler has to say of code
;;; that is not as its author wants it, such as what is on the stack, is of no interest then.

(defun call-without-inlining (function)
  "Call FUNCTION, which compiles a file, while functions of users are called and not inlined."
  (flet ((expansion (expansion name &rest arguments)
           (and (system-function-p name) (apply expansion name arguments))))
    (sb-int:encapsulate 'sb-int:fun-name-inline-expansion 'rbz-coverage #'expansion)
    (unwind-protect (handler-bind (((or sb-c:inlining-dependency-failure sb-ext:compiler-note)
                                    #'muffle-warning))
                      (funcall function))
      (sb-int:unencapsulate 'sb-int:fun-name-inline-expansion 'rbz-coverage))))

(defun system-function-p (name)
  "True if the function NAME is of the Lisp itself."
  (let* ((symbol (sb-int:fun-name-block-name name))
         (package (and (symbolp symbol) (symbol-package symbol))))
    (or (null package) (sb-int:system-package-p package))))

;;; The map

(defstruct (mark (:constructor make-mark (number branch node way)))
  "A mark, where it stands, and which branch it is of, if any."
  (number 0 :type fixnum :read-only t)
  (branch nil :type (member nil :then :else) :read-only t)
  (node nil :type node :read-only t)
  (way '() :type list :read-only t))

;;; What stands where

(defun marks (noted)
  "The marks that stand somewhere, and are not of code that runs while other code is compiled."
  (let ((marks '()) (forms (noted-forms noted)))
    (loop for path in (noted-paths noted)
          for number from 0
          for branch = (and (symbolp (first path)) (first path))
          for indices = (reverse (if branch (rest path) path))
          for form = (and (< (first indices) (length forms)) (aref forms (first indices)))
          do (multiple-value-bind (node way) (if form (node-at form (rest indices)) nil)
               (when (and node (not (expander-p (cons node way))))
                 (push (make-mark number branch (innermost-node node) way) marks))))
    (nreverse marks)))

(defun marks-by-node (marks branch)
  "The numbers of those of MARKS that are of BRANCH, by their nodes."
  (let ((numbers (make-hash-table :test 'eq)))
    (dolist (mark marks numbers)
      (when (eq (mark-branch mark) branch)
        (setf (gethash (mark-node mark) numbers) (mark-number mark))))))

(defun places (source)
  "A function from a position in SOURCE to the number of its part, a line and a column."
  (let* ((parts (or (source-parts source) (list (cons 0 source))))
         (starts (loop for (nil . part) in parts collect (line-starts (source-text part)))))
    (lambda (position)
      (let* ((number (or (position position parts :key #'first :test #'>= :from-end t) 0))
             (within (- position (first (nth number parts))))
             (lines (nth number starts))
             (line (last-at-most within lines)))
        (values number (1+ line) (1+ (- within (aref lines line))))))))

(defun last-at-most (number sorted)
  "The index of the last element of SORTED that is at most NUMBER; the first is."
  (loop with low = 0
        with high = (length sorted)
        while (< (1+ low) high)
        do (let ((middle (ash (+ low high) -1)))
             (if (<= (aref sorted middle) number) (setf low middle) (setf high middle)))
        finally (return low)))

(defun line-starts (text)
  "Where each line of TEXT begins."
  (coerce (cons 0 (loop for newline = (position #\Newline text)
                          then (position #\Newline text :start (1+ newline))
                        while newline collect (1+ newline)))
          'simple-vector))

(defun deciding (marks line-of)
  "For each line, as LINE-OF says it of a position, the numbers of the marks that decide whether it ran:
those of the forms that begin there. Where only variables and constants do, which the compiler gives no
mark, it is that of the form they are in; of the arms of `if`, that of the branch."
  (let ((lines (make-hash-table :test 'equal)) (others (make-hash-table :test 'equal))
        (forms (marks-by-node marks nil))
        (thens (marks-by-node marks :then)) (elses (marks-by-node marks :else)))
    (dolist (mark marks)
      (unless (mark-branch mark)
        (pushnew (mark-number mark) (gethash (funcall line-of (node-start (mark-node mark))) lines))))
    (dolist (mark marks)
      (let ((node (mark-node mark)))
        (when (and (mark-way mark) (operator node) (not (mark-branch mark)))
          (loop with elements = (element-nodes node)
                with test = (and (eq (operator node) 'if) (second elements))
                for element in (rest elements)
                for index from 1
                do (when (and element (atom (node-object element)) (not (gethash element forms)))
                     (let ((branch (and test (case index (2 thens) (3 elses)))))
                       (push (or (and branch (or (gethash (innermost-node test) branch)
                                                 (gethash node branch)))
                                 (mark-number mark))
                             (gethash (funcall line-of (node-start element)) others))))))))
    (maphash (lambda (line numbers)
               (unless (gethash line lines) (setf (gethash line lines) numbers)))
             others)
    lines))

(defun definition-name (node)
  "The name of the function that the form NODE defines, or nil."
  (when (and (member (operator node) '(defun defmethod)) (consp (cdr (node-object node))))
    (let* ((name (second (node-object node)))
           (symbol (and (typep name '(or symbol cons)) (sb-int:valid-function-name-p name)
                        (sb-int:fun-name-block-name name)))
           (*package* (or (and symbol (symbol-package symbol)) *package*)))
      (when symbol (one-spaced (format nil "~(~a~)" name))))))

(defun write-map (path noted)
  "Write the map of what is NOTED to the native PATH."
  (let* ((source (noted-source noted))
         (marks (marks noted))
         (place (places source))
         (parts (or (mapcar #'rest (source-parts source)) (list source)))
         (rows (make-array (length parts) :initial-element '())))
    (flet ((note (start control &rest arguments)
             (push (apply #'format nil control arguments) (aref rows (funcall place start))))
           (line-and-column (position)
             (rest (multiple-value-list (funcall place position)))))
      (dolist (mark marks)
        (let ((node (mark-node mark)))
          (unless (mark-branch mark)
            (note (node-start node) "unit ~d~{ ~d~}~{ ~d~}" (mark-number mark)
                  (line-and-column (node-start node)) (line-and-column (node-end node)))
            (let ((name (definition-name node)))
              (when name
                (note (node-start node) "function~{ ~d~}~{ ~d~} ~a" (line-and-column (node-start node))
                      (line-and-column (node-end node)) name))))))
      (note-branches marks (lambda (node then else)
                             (note (node-start node) "branch~{ ~d~} ~d ~d"
                                   (line-and-column (node-start node)) (or then '-) (or else '-))))
      (let ((lines (deciding marks (lambda (position)
                                     (subseq (multiple-value-list (funcall place position)) 0 2)))))
        (maphash (lambda (line numbers)
                   (push (format nil "line ~d~{ ~d~}" (second line) (sort (copy-list numbers) #'<))
                         (aref rows (first line))))
                 lines)))
    (with-open-file (out (native-path path) :direction :output :if-exists :supersede :external-format :utf-8)
      (format out "key ~a~%marks ~d~%" (source-path source) (length (noted-paths noted)))
      (loop for part in parts
            for rows across rows
            do (format out "source ~a~%~{~a~%~}" (source-path part) (reverse rows))))))

(defun note-branches (marks function)
  "Call FUNCTION with the node of each test among MARKS, and the marks of its two branches."
  (let ((elses (marks-by-node marks :else)) (thens (marks-by-node marks :then))
        (seen (make-hash-table :test 'eq)))
    (dolist (mark marks)
      (let ((node (mark-node mark)))
        (when (and (mark-branch mark) (not (gethash node seen)))
          (setf (gethash node seen) t)
          (funcall function node (gethash node thens) (gethash node elses)))))))

(defun write-why-none (path source text)
  "Write to the native PATH that SOURCE has no marks, since TEXT."
  (with-open-file (out (native-path path) :direction :output :if-exists :supersede :external-format :utf-8)
    (format out "key ~a~%marks 0~%" (source-path source))
    (dolist (part (or (mapcar #'rest (source-parts source)) (list source)))
      (format out "source ~a~%uninstrumented ~a~%" (source-path part) (one-spaced text)))))
