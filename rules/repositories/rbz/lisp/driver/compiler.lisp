;;;; What is mended in SBCL's compiler and interpreter: passes that take much longer than what they gain
;;;; is worth, or than they need to, and methods that the interpreter cannot run. What is compiled means
;;;; the same; programs get both as SBCL has them.

(in-package "RBZ.COMPILER")

(defvar *join-types-p* t
  "Whether the compiler works out which types a variable can have where branches meet.")

(defun join-types (join &rest arguments)
  "Call JOIN, the compiler's own function, only if *JOIN-TYPES-P* is true. Where types are unions of many,
a function of a hundred lines can take it an hour."
  (when *join-types-p* (apply join arguments)))

;;; References

(defconstant +long+ 500
  "As many references are looked at one after the other, wherever they lie.")

(defun delete-from-references (delete item list)
  "Call DELETE, which deletes ITEM from LIST. The list of all places that use a function or a constant of
a large file is long, and each of its cells lies on another page of memory, so that looking through it
costs a hundred times what it should: then the list is copied to where its cells follow one another."
  (funcall delete item (if (and (sb-c::ref-p item)
                                (typep (sb-c::ref-leaf item) '(or sb-c::global-var sb-c::constant))
                                (scattered-p item list))
                           (copy-list list)
                           list)))

(defun scattered-p (item list)
  "True if ITEM is not at the begin of LIST, whose cells lie here and there."
  (declare (optimize speed (sb-ext:inhibit-warnings 3)) (type list list))
  (loop with far of-type fixnum = 0
        for cell of-type list on list
        for number of-type fixnum from 1 to +long+
        do (when (eq (first cell) item) (return nil))
           (unless (= (sb-kernel:get-lisp-obj-address (rest cell))
                      (+ (sb-kernel:get-lisp-obj-address cell) (* 2 sb-vm:n-word-bytes)))
             (incf far))
        finally (return (and cell (> (* 8 far) +long+)))))

;;; Slots

(defun get-function-or-accessor (get name environment)
  "Call GET, the interpreter's own function, which returns the function NAME. Methods use slots through
functions that are made once they are linked to, which interpreted code never is."
  (when (typep name '(cons (eql sb-pcl::slot-accessor)))
    (sb-kernel:find-or-create-fdefn name))
  (funcall get name environment))

;;; Putting it in

(defparameter *mended*
  '(("SB-C" "JOIN-TYPE-CONSTRAINTS" join-types)
    ("SB-INT" "DELQ1" delete-from-references)
    ("SB-EVAL" "GET-FUNCTION" get-function-or-accessor))
  "Functions of the compiler and the interpreter, and for each what is called in its place. Not every SBCL has each.")

(defun call-with-mended (function)
  "Call FUNCTION with the name of each function that is there and what stands in its place."
  (loop for (package name mended) in *mended*
        for symbol = (find-symbol name package)
        when (and symbol (fboundp symbol))
          do (funcall function symbol mended)))

(defun mend-compiler ()
  "Mend the compiler."
  (call-with-mended (lambda (name mended) (sb-int:encapsulate name 'rbz mended))))

(defun restore-compiler ()
  "Give the compiler back as SBCL has it."
  (call-with-mended (lambda (name mended)
                      (declare (ignore mended))
                      (sb-int:unencapsulate name 'rbz))))

(mend-compiler)
