;;;; Saving an image without reading all of its machine code again.
;;;;
;;;; When SBCL saves a core it packs the code of functions together. For that it looks for the calls and
;;;; jumps in them, by disassembling all code twice, that of SBCL itself too: half of the time that saving
;;;; takes. In code that was there when the driver was saved, the places of such operands are the same
;;;; for ever, so the driver remembers them, and that this code calls functions directly already.

(in-package "RBZ.RELATIVE-OPERANDS")

(defconstant +most-callers+ 4000
  "With more new functions than these, SBCL's search for each in a list takes longer than all code.")

(defvar *offsets* (make-array 0 :element-type '(unsigned-byte 32) :adjustable t :fill-pointer t)
  "For each range of code that was read: its length, how many operands it has, and where each begins
in it, all in octets.")

(defvar *ranges* (make-hash-table)
  "Where the offsets of a range of code begin, by the number of the code and where the range begins
in it.")

(declaim (inline range-key))
(defun range-key (code start)
  "The key of the range of CODE that begins at the address START."
  (logior (ash (sb-kernel:%code-serialno code) 32)
          (- start (sb-sys:sap-int (sb-kernel:code-instructions code)))))

(defun known-range (code start length)
  "The index in *OFFSETS* of the range of CODE that begins at the address START, if one of this LENGTH
was read."
  (let ((index (gethash (range-key code start) *ranges*)))
    (and index (= length (aref *offsets* index)) index)))

(defun map-operands (scan code start length state segment function &optional (predicate #'sb-int:constantly-t))
  "Do what SCAN does, which is SBCL's: call FUNCTION with the offset of each operand that is relative to the
instruction, in a range of CODE, and the address that it refers to."
  (let ((index (known-range code start length)))
    (cond ((or (not (eq predicate #'sb-int:constantly-t))
               (and (null index) (names-own-function-p code)))
           (funcall scan code start length state segment function predicate))
          (index
           (loop repeat (aref *offsets* (1+ index))
                 for i from (+ index 2)
                 for offset = (aref *offsets* i)
                 do (funcall function offset (+ start offset 4 (relative-operand (+ start offset)))
                             nil)))
          (t
           (let ((index (fill-pointer *offsets*)))
             (vector-push-extend length *offsets*)
             (vector-push-extend 0 *offsets*)
             (funcall scan code start length state segment
                      (lambda (offset address instruction)
                        (vector-push-extend offset *offsets*)
                        (incf (aref *offsets* (1+ index)))
                        (funcall function offset address instruction))
                      predicate)
             (setf (gethash (range-key code start) *ranges*) index))))))

(defun names-own-function-p (code)
  "True of CODE that calls a function of its own by a name. While such a call is direct it stays within
the code, and is no operand to be found; once the name means another function it is."
  (loop for i from sb-vm:code-constants-offset below (sb-kernel:code-header-words code)
        for constant = (sb-kernel:code-header-ref code i)
        for function = (and (sb-kernel:fdefn-p constant) (sb-kernel:fdefn-fun constant))
        thereis (and (sb-kernel:simple-fun-p function)
                     (eq (sb-kernel:fun-code-header function) code))))

(defun relative-operand (address)
  "The operand at ADDRESS: how far what it refers to is from its end."
  (sb-sys:signed-sap-ref-32 (sb-sys:int-sap address) 0))

(defun new-callers ()
  "The names by which SBCL finds the code that was not there when ranges were last remembered; a name that
is nothing's if there is none."
  (let ((names (list (make-symbol "NONE"))))
    (sb-vm:map-allocated-objects
     (lambda (object type size)
       (declare (ignore size))
       (when (and (= type sb-vm:code-header-widetag) (plusp (sb-kernel:code-n-entries object)))
         (let ((function (sb-kernel:%code-entry-point object 0)))
           (unless (known-range object
                                (sb-sys:sap-int (sb-vm:simple-fun-entry-sap function))
                                (sb-kernel:%simple-fun-text-len function 0))
             (push (sb-kernel:%simple-fun-name function) names)))))
     :immobile)
    names))

(defun save-by-memory (&key keep)
  "Let the next saving of this image go by what is remembered. Keep what it reads, for images that are
made from this one, or forget everything. Nothing happens in an SBCL that this file does not know."
  (let ((link (known-function "SB-VM" "STATICALLY-LINK-CORE" "(&KEY CALLERS)"))
        (collect (known-function "SB-VM" "COLLECT-IMMOBILE-CODE-RELOCS" "NIL"))
        (scan (known-function "SB-X86-64-ASM" "SCAN-RELATIVE-OPERANDS"
                              "(CODE START-ADDRESS LENGTH DSTATE SEGMENT FUNCTION &OPTIONAL (PREDICATE (FUNCTION CONSTANTLY-T)))")))
    (when (and link collect scan)
      (call-instead link
                    (lambda (link)
                      (let ((callers (new-callers)))
                        (if (< (length callers) +most-callers+)
                            (funcall link :callers callers)
                            (funcall link)))))
      (call-instead collect
                    (lambda (collect)
                      (sb-int:encapsulate scan 'rbz #'map-operands)
                      (multiple-value-prog1 (funcall collect)
                        (sb-int:unencapsulate scan 'rbz)
                        (unless keep
                          (setf *offsets* #() *ranges* (make-hash-table)))))))))

(defun call-instead (name function)
  "The next time that the function NAME is called, call FUNCTION with what it was."
  (sb-int:encapsulate name 'rbz (lambda (before &rest arguments)
                                  (declare (ignore arguments))
                                  (sb-int:unencapsulate name 'rbz)
                                  (funcall function before))))

(defun known-function (package name lambda-list)
  "The symbol NAME of PACKAGE if it names a function with this LAMBDA-LIST."
  (let ((symbol (and (find-package package) (find-symbol name package))))
    (and symbol
         (fboundp symbol)
         (string= lambda-list
                  (with-standard-io-syntax
                    (let ((*package* (find-package "SB-X86-64-ASM")) (*print-readably* nil))
                      (prin1-to-string (sb-kernel:%fun-lambda-list (fdefinition symbol))))))
         symbol)))
