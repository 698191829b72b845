;;;; The names of C in a program that is linked.
;;;;
;;;; Its code reaches C through a table that was linked with it, a megabyte below it. The runtime makes
;;;; a second one where memory is free, for code that is loaded later; but code in the room beside
;;;; what is linked does not reach that far. So when the program starts, the table that was linked takes
;;;; the place of the other one.
;;;;
;;;; What nothing defines that is linked, because code opens the shared object itself or it is nowhere,
;;;; is left out of the table. It is looked up when the program starts, and after it opened something.

(in-package "RBZ.LINKAGE")

;;; The splitter of cores finds the value by this name.
(defvar *names-of-c-found-at-start* '()
  "The names of C that are in use, but not linked.")

;;; While an action runs

(defvar *linked-files* '()
  "The files of this process that a program is linked with, too: its own shared objects, and the C
libraries of the closure.")

(defun note-linked-files ()
  "From here on what is opened is not linked."
  (setf *linked-files* (open-files)))

(defun open-files ()
  "The files of the shared objects that are open in this process, as the loader calls them."
  ;; The records of the loader, struct link_map: address, name, contents, next, previous.
  (sb-alien:with-alien ((first (* t)))
    (unless (zerop (sb-alien:alien-funcall
                    (sb-alien:extern-alien "dlinfo" (function sb-alien:int sb-sys:system-area-pointer
                                                              sb-alien:int (* (* t))))
                    sb-alien::*runtime-dlhandle* 2 (sb-alien:addr first)))
      (error "the loader does not say what is open"))
    (loop for record = (sb-alien:alien-sap first) then (sb-sys:sap-ref-sap record 24)
          until (zerop (sb-sys:sap-int record))
          collect (c-text (sb-sys:sap-ref-sap record 8)))))

(defun c-text (sap)
  "The text that ends with a zero at SAP, byte by byte."
  (coerce (loop for index from 0
                for byte = (sb-sys:sap-ref-8 sap index)
                until (zerop byte)
                collect (code-char byte))
          'string))

(defun file-of (address)
  "The file of the shared object that ADDRESS is in, as the loader calls it."
  (sb-alien:with-alien ((info (array sb-alien:unsigned-long 4)))
    (unless (zerop (sb-alien:alien-funcall
                    (sb-alien:extern-alien "dladdr" (function sb-alien:int sb-alien:unsigned-long (* t)))
                    address (sb-alien:addr info)))
      (c-text (sb-sys:int-sap (sb-alien:deref info 0))))))

(defun names-of-c ()
  "The names of C that code in the image uses."
  (remove-duplicates (loop for key being the hash-keys of (car sb-sys:*linkage-info*)
                           collect (if (consp key) (first key) key))
                     :test #'string=))

(defun undefined-aliens ()
  "The names of C that code in the image uses and no library defines."
  (remove-if #'sb-sys:find-foreign-symbol-address (names-of-c)))

(defun keep-names-of-c (linked)
  "Let the program that is saved next find by itself what it uses and, being LINKED, is not linked with."
  (setf *names-of-c-found-at-start*
        (when linked
          (let ((opened (set-difference (open-files) *linked-files* :test #'string=)))
            (remove-if (lambda (name)
                         (let ((address (sb-sys:find-foreign-symbol-address name)))
                           (and address (not (member (file-of address) opened :test #'equal)))))
                       (names-of-c))))
        *linked-files* '()))

;;; When a program starts

(defconstant +readable-writable-executable+ 7)

(defun use-linked-table ()
  "Let the table that was linked take the place of the one that the runtime made, if there are two."
  (let* ((size sb-vm:alien-linkage-table-space-size)
         (linked (- sb-vm:text-space-start size))
         (made (sb-alien:extern-alien "ALIEN_LINKAGE_TABLE_SPACE_START" sb-alien:unsigned-long)))
    (unless (= linked made)
      (unless (zerop (sb-alien:alien-funcall
                      (sb-alien:extern-alien "mprotect" (function sb-alien:int sb-alien:unsigned-long
                                                                  sb-alien:unsigned-long sb-alien:int))
                      linked size +readable-writable-executable+))
        (error "the table of the names of C cannot be made writable"))
      ;; What was not linked is in the other one only.
      (loop for index from (sb-alien:extern-alien "alien_linkage_table_n_prelinked" sb-alien:int)
              below (hash-table-count (car sb-sys:*linkage-info*))
            do (loop for offset from (* index sb-vm:alien-linkage-table-entry-size) by 8
                     repeat (floor sb-vm:alien-linkage-table-entry-size 8)
                     do (setf (sb-sys:sap-ref-word (sb-sys:int-sap linked) offset)
                              (sb-sys:sap-ref-word (sb-sys:int-sap made) offset))))
      (setf (sb-alien:extern-alien "ALIEN_LINKAGE_TABLE_SPACE_START" sb-alien:unsigned-long) linked
            (sb-sys:sap-ref-word (sb-vm::current-thread-offset-sap sb-vm::thread-this-slot)
                                 (* 8 sb-vm::thread-alien-linkage-table-base-slot))
            linked))))

(defun find-names-of-c ()
  "Look up what was not linked. A name that is still nowhere is an error when it is called."
  (dolist (name *names-of-c-found-at-start*)
    (let ((address (sb-sys:find-foreign-symbol-address name)))
      (dolist (key (list name (list name)))
        (let ((index (gethash key (car sb-sys:*linkage-info*))))
          (when index
            (sb-impl::arch-write-linkage-table-entry
             index
             (cond (address)
                   ((consp key)
                    (sb-alien:extern-alien "undefined_alien_address" sb-alien:unsigned-long))
                   (t (sb-fasl:get-asm-routine 'sb-vm::undefined-alien-tramp)))
             (if (consp key) 1 0))))))))
