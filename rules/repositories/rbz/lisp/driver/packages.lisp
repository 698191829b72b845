;;;; The packages of the driver: the Lisp program that runs every Lisp action.
;;;;
;;;; They have no nicknames and are locked once everything is loaded, so that nothing of the code
;;;; that is built can meet them by accident. `BAZEL.WARNING` is the one that users name things
;;;; in: the entries of `nowarn` are read there.

(defpackage "RBZ.PARAMETERS"
  (:documentation "What an action is told: the lines of its parameter file.")
  (:use "COMMON-LISP")
  (:export "READ-PARAMETERS" "PARAMETER" "PARAMETERS" "NATIVE-PATH" "MAP-PARAMETERS"
           "BAD-PARAMETERS"))

(defpackage "RBZ.SOURCE"
  (:documentation "The text of source files: lines, columns, and where a form stands.")
  (:use "COMMON-LISP")
  (:export "SOURCE" "READ-SOURCE" "SOURCE-PATH" "SOURCE-LINE" "LINE-AND-COLUMN"
           "POSITION-OF" "POSITION-AT-OCTET" "LAST-FORM-BEFORE"
           "FORM-POSITION" "FORM-HEAD" "END-OF-FORM" "SOURCE-TEXT"))

(defpackage "RBZ.REPORT"
  (:documentation "How failures and warnings are printed, for people and for editors.")
  (:use "COMMON-LISP" "RBZ.SOURCE")
  (:export "FINDING" "MAKE-FINDING" "FINDING-SEVERITY" "FINDING-POSITION" "FINDING-FAILS-P"
           "PRINT-FINDINGS" "PRINT-FAILURE" "CONDITION-TEXT" "INNERMOST"
           "TYPE-TEXT" "ONE-SPACED"
           "NOTE-MISSING-INPUT"))

(defpackage "BAZEL.WARNING"
  (:documentation "The names that `nowarn` knows: condition types, and functions of a condition.")
  (:use "COMMON-LISP")
  (:export "UNDEFINED-VARIABLE-WARNING" "UNDEFINED-FUNCTION-WARNING" "UNUSED-VARIABLE"
           "INLINE-USED-BEFORE-DEFINITION" "INLINING-NOTINLINE"
           "COMPILER-MACRO-AFTER-FUNCTION-USE" "REDEFINED-MACRO" "REDEFINED-FUNCTION"
           "REDEFINED-METHOD" "REDEFINED-GENERIC" "REDEFINED-PACKAGE" "REDEFINE-WARNING"
           "CHANGED-FTYPE-PROCLAMATION" "CONFLICTING-FTYPE-DECLARATION" "WRONG-ARGUMENT-COUNT"
           "OPTIONAL-AND-KEY" "DELETED-CODE" "TYPE-STYLE" "TYPE-CONFLICT"
           "COMPLEX-LEXICAL-ENVIRONMENT" "IMPLICIT-GENERIC" "STACK-ALLOCATE-NOTE"
           "INLINE-EXPANSION-LIMIT" "UNINTERESTING-CONDITION" "DEPRECATION" "STYLE"
           "UNDEFINED-TYPE-WARNING" "DUPLICATE-DEFINITION" "FORMAT-ARGUMENTS"
           "CONSTANT-MODIFIED"
           "SHOW-NOTES" "FAIL-STACK-ALLOCATE-NOTES" "FAIL-INLINE-EXPANSION-LIMIT"
           "UNDEFINED-FUNCTION-P" "UNDEFINED-VARIABLE-P"))

(defpackage "RBZ.VERDICT"
  (:documentation "What becomes of a condition: muffled, shown, deferred or a failure.")
  (:use "COMMON-LISP" "BAZEL.WARNING")
  (:export "*HANDLERS*" "COMPILE-VERDICT" "LOAD-VERDICT" "UNKNOWN-HANDLER" "NOWARN-NAME"
           "MUFFLE"))

(defpackage "RBZ.LOADING"
  (:documentation "Loading sources, FASLs and bundled modules into the image.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.SOURCE")
  (:export "LOAD-STEP" "ADD-FEATURES" "SET-POLICY" "LOADING-POLICY" "PREPARE-IMAGE"
           "LOAD-FAILED" "WITH-MODULES-REFUSED"))

(defpackage "RBZ.COMPILING"
  (:documentation "Compiling source files, each to a FASL, a list of what is undefined, and a hash.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.SOURCE" "RBZ.VERDICT" "RBZ.LOADING")
  (:export "COMPILE-COMMAND" "STEPS" "LOAD-WITH-VERDICTS"))

(defpackage "RBZ.CORE"
  (:documentation "Saving cores and programs, and what runs when a program starts.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.LOADING")
  (:export "CORE-COMMAND" "SAVE-DRIVER" "CALL-NAMED"))

(defpackage "RBZ.DRIVER"
  (:documentation "The program itself: one command for each kind of action.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.LOADING")
  (:export "MAIN" "SAVE"))
