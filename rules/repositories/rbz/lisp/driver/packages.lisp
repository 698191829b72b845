;;;; The packages of the driver: the Lisp program that runs every Lisp action.
;;;;
;;;; They have no nicknames and are locked once everything is loaded, so that nothing of the code
;;;; that is built can meet them by accident. `BAZEL.WARNING` is the one that users name things
;;;; in: the entries of `nowarn` are read there. The other packages `BAZEL.*` have the names that
;;;; code written for bazelisp's image knows; what they export does what it did there.

(defpackage "RBZ.PARAMETERS"
  (:documentation "What an action is told: the lines of its parameter file.")
  (:use "COMMON-LISP")
  (:export "READ-PARAMETERS" "READ-PARAMETER" "PARAMETER" "PARAMETERS" "NATIVE-PATH" "MAP-PARAMETERS"
           "BAD-PARAMETERS"))

(defpackage "RBZ.SOURCE"
  (:documentation "The text of source files: lines, columns, and where a form stands.")
  (:use "COMMON-LISP")
  (:export "SOURCE" "READ-SOURCE" "JOIN-SOURCES" "SOURCE-PARTS" "PART-AT"
           "NOTE-ENCODING" "ENCODING-OF" "SOURCE-PATH" "SOURCE-LINE" "LINE-AND-COLUMN"
           "POSITION-OF" "POSITION-AT-OCTET" "LAST-FORM-BEFORE"
           "FORM-POSITION" "FORM-HEAD" "END-OF-FORM" "SOURCE-TEXT" "MAKE-SOURCE" "FIND-FORM"))

(defpackage "RBZ.REPORT"
  (:documentation "How failures and warnings are printed, for people and for editors.")
  (:use "COMMON-LISP" "RBZ.SOURCE")
  (:export "FINDING" "MAKE-FINDING" "FINDING-SEVERITY" "FINDING-TEXT" "FINDING-POSITION" "FINDING-FAILS-P"
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
           "UNDEFINED-TYPE-WARNING" "UNDEFINED-ALIEN" "DUPLICATE-DEFINITION" "FORMAT-ARGUMENTS"
           "CONSTANT-MODIFIED" "REDEFINED-STRUCTURE" "UNDEFINED-THING"
           "SHOW-NOTES" "FAIL-STACK-ALLOCATE-NOTES" "FAIL-INLINE-EXPANSION-LIMIT"
           "UNDEFINED-FUNCTION-P" "UNDEFINED-VARIABLE-P"))

(defpackage "RBZ.VERDICT"
  (:documentation "What becomes of a condition: muffled, shown, deferred or a failure.")
  (:use "COMMON-LISP" "BAZEL.WARNING")
  (:export "*HANDLERS*" "COMPILE-VERDICT" "LOAD-VERDICT" "UNKNOWN-HANDLER" "NOWARN-HINT"
           "ASKED-OF-OTHER" "MUFFLE"))

(defpackage "BAZEL.UTILS"
  (:documentation "Small things that code written for bazelisp's image uses.")
  (:use "COMMON-LISP")
  (:export "OCTET" "OCTETS" "SIMPLE-OCTETS" "NCONCF" "PREFIXP" "STRIP-PREFIX" "DELETE-EXISTING"
           "DELETE-READ-ONLY" "DOHASH" "SPLIT" "TO-KEYWORD" "WRITE-STRINGZ" "READ-STRINGZ"
           "READ-U64" "WRITE-U64" "WITH-CONTINUE-ON-ERROR" "FUNCALL-NAMED" "FUNCALL-NAMED*"))

(defpackage "BAZEL.LOG"
  (:documentation "Messages by severity and verbosity.")
  (:use "COMMON-LISP")
  (:shadow "ERROR" "WARNING")
  (:export "MESSAGE" "INFO" "ERROR" "WARNING" "VERBOSE" "VV" "VVV" "FATAL" "FATAL-ERROR"
           "NON-FATAL-ERROR" "*VERBOSE*" "WITH-SAFE-IO-SYNTAX"))

(defpackage "BAZEL.SBCL"
  (:documentation "What code written for bazelisp's image asks of the Lisp and its process.")
  (:use "COMMON-LISP")
  (:import-from "SB-THREAD" "MAKE-THREAD" "JOIN-THREAD" "WITH-RECURSIVE-LOCK" "MAKE-MUTEX" "MUTEX")
  (:import-from "SB-EXT" "SAVE-LISP-AND-DIE")
  (:import-from "SB-MD5" "MD5SUM-FILE")
  (:export "COMPILE-FILES" "EXIT" "RUN" "INLINE-FUNCTION-P" "FUNCTION-HAS-TRANSFORMS-P" "GETENV"
           "UNSETENV" "CHDIR" "COMMAND-LINE-ARGUMENTS" "PROGRAM-NAME" "DEFAULT-TOPLEVEL-LOOP"
           "MUTE-OUTPUT-STREAMS" "SAVE-LISP-AND-DIE" "MD5SUM-FILE" "SET-INTERPRET-MODE"
           "SET-INTERACTIVE-MODE" "SETUP-READTABLE" "REMOVE-EXTRA-DEBUG-INFO" "NAME-CLOSURE"
           "WITH-CREATING-FIND-PACKAGE" "WITH-DEFAULT-PACKAGE"
           "MAKE-THREAD" "JOIN-THREAD" "WITH-RECURSIVE-LOCK" "MAKE-MUTEX" "MUTEX"))

(defpackage "BAZEL.MAIN"
  (:documentation "An action as a value, and the functions that methods of users can join.")
  (:use "COMMON-LISP" "BAZEL.UTILS" "BAZEL.SBCL")
  (:export "MAIN" "SAVE-IMAGE" "*COMPILED-SOURCES*" "*CURRENT-SOURCE-FILE*"
           "PROCESS-FILE" "INIT-ACTION" "FINISH-ACTION" "LOAD-FILE" "HANDLE-WARNING"
           "EXECUTE-COMMAND" "*ACTION*" "ACTION" "ACTION-COMMAND" "ACTION-ARGS"
           "ACTION-OUTPUT-FILES" "ACTION-PROCESSING-SOURCES-P" "ACTION-SAVE-RUNTIME-OPTIONS-P"
           "ACTION-MAIN-FUNCTION" "ACTION-WARNING-HANDLERS" "ACTION-COMPILATION-MODE"
           "ACTION-SOURCE-FILES" "ACTION-FIND-OUTPUT-FILE" "ACTION-FAILURES"
           "ACTION-DEFERRED-WARNINGS" "ADD-FEATURES" "ADD-FEATURE"))

(defpackage "RBZ.LOADING"
  (:documentation "Loading sources, FASLs and bundled modules into the image.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.SOURCE")
  (:export "LOAD-STEP" "SET-POLICY" "LOADING-POLICY" "PREPARE-IMAGE"
           "PREPARE-TO-COMPILE"
           "LOAD-FAILED" "WITH-MODULES-REFUSED" "KEEP-EQUAL-CONSTANT" "EXHAUSTION-HINT"
           "PACKAGE-HINT" "ASDF-CONDITION-P" "*ASDF-HINT*" "FOREIGN-LIBRARY-CONDITION-P"
           "*FOREIGN-LIBRARY-HINT*"
           "*INTERACTIVE*" "DEBUG-IF-ASKED"))

(defpackage "RBZ.LINKAGE"
  (:documentation "The names of C in a program that is linked.")
  (:use "COMMON-LISP")
  (:export "NOTE-LINKED-FILES" "UNDEFINED-ALIENS" "KEEP-NAMES-OF-C" "USE-LINKED-TABLE"
           "FIND-NAMES-OF-C"))

(defpackage "RBZ.C-LIBRARIES"
  (:documentation "What is open of C libraries while an image is made, and when it starts.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.LINKAGE")
  (:export "OPEN-C-LIBRARIES" "KEEP-C-LIBRARIES"))

(defpackage "RBZ.ACTION"
  (:documentation "What all actions have in common: features, files that are loaded, failures.")
  (:use "COMMON-LISP" "BAZEL.MAIN" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.VERDICT" "RBZ.LOADING"
        "RBZ.C-LIBRARIES")
  (:import-from "RBZ.SOURCE" "NOTE-ENCODING")
  (:export "BEGIN-ACTION" "PROCESS-STEPS" "PROCESS-STEP" "SOUND-P" "STEPS" "STEP-PATH"
           "NOTE-FAILURE" "*DEALT-WITH*"))

(defpackage "RBZ.TRACES"
  (:documentation "What a FASL holds of the machine and the time that it was compiled on.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS")
  (:export "CALL-WATCHING-CLOCK" "REPORT-TRACES"))

(defpackage "RBZ.LINES"
  (:documentation "Which instructions are of which line of a source file.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.SOURCE")
  (:export "CALL-NOTING-LINES" "WRITE-LINES"))

(defpackage "RBZ.COVERAGE-MAP"
  (:documentation "Where in its source code stands that notes what of it runs.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.SOURCE")
  (:import-from "RBZ.REPORT" "ONE-SPACED")
  (:export "CALL-MAPPING" "CALL-WITHOUT-INLINING" "WRITE-MAP" "WRITE-WHY-NONE"))

(defpackage "RBZ.COVERAGE"
  (:documentation "What of its code a program ran.")
  (:use "COMMON-LISP")
  (:export "CALL-NOTING-CODE" "PREPARE-MARKS" "BEGIN-MARKS"))

(defpackage "RBZ.COMPILER"
  (:documentation "What is mended in the compiler.")
  (:use "COMMON-LISP")
  (:export "*JOIN-TYPES-P*" "RESTORE-COMPILER"))

(defpackage "RBZ.SPARE"
  (:documentation "A process that waits to take the place of this one.")
  (:use "COMMON-LISP")
  (:export "FORK-SPARE"))

(defpackage "RBZ.COMPILING"
  (:documentation "Compiling source files, each to a FASL, a list of what is undefined, and a hash.")
  (:use "COMMON-LISP" "BAZEL.MAIN" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.SOURCE" "RBZ.VERDICT"
        "RBZ.LOADING" "RBZ.ACTION" "RBZ.TRACES" "RBZ.LINES" "RBZ.COMPILER" "RBZ.COVERAGE-MAP"
        "RBZ.SPARE")
  (:import-from "BAZEL.WARNING" "UNDEFINED-FUNCTION-P")
  (:export "COMPILE-COMMAND"))

(defpackage "RBZ.RUNTIME-OPTIONS"
  (:documentation "Options of the runtime for programs that were built.")
  (:use "COMMON-LISP")
  (:export "APPLY-RUNTIME-OPTIONS"))

(defpackage "RBZ.TEST"
  (:documentation "What test frameworks and the programs of tests agree on; adapters use it.")
  (:use "COMMON-LISP")
  (:export "DEFINE-FRAMEWORK" "MAKE-TEST-CASE" "CASE-NAME" "CASE-SUITES" "CASE-DATA"
           "PASSED" "FAILED" "ERRED" "SKIPPED" "TEXT"
           "NAME" "CALL" "VALUE" "IS-A" "WITH-VALUES" "WITH-CALLS-WATCHED"
           "PREPARE" "RUN-PROGRAM" "UNFIT" "UNFIT-HINT"))

(defpackage "RBZ.PROGRAM"
  (:documentation "What runs when a program starts.")
  (:use "COMMON-LISP" "RBZ.REPORT" "RBZ.RUNTIME-OPTIONS" "RBZ.COVERAGE")
  (:export "TOPLEVEL" "TESTS-PASS-P" "START-WITHOUT-FINALIZERS" "FORGET-FINALIZERS" "CALL-UIOP"
           "*WORKSPACE-STATUS*"))

(defpackage "RBZ.RELATIVE-OPERANDS"
  (:documentation "Saving an image without reading all of its machine code again.")
  (:use "COMMON-LISP")
  (:export "SAVE-BY-MEMORY"))

(defpackage "RBZ.SAVING"
  (:documentation "Making an image ready to be saved, and saving it.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.PROGRAM" "RBZ.RELATIVE-OPERANDS")
  (:import-from "RBZ.COMPILER" "RESTORE-COMPILER")
  (:export "RESTORE-DEFAULTS" "PRECOMPILE-GENERICS" "REMOVE-DEBUG-INFORMATION" "SAVE-CORE"
           "PREPARE-TO-SAVE"
           "SAVE-DRIVER"))

(defpackage "RBZ.CORE"
  (:documentation "What belongs into a core, and whether it is sound.")
  (:use "COMMON-LISP" "BAZEL.MAIN" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.ACTION" "RBZ.PROGRAM"
        "RBZ.SAVING" "RBZ.C-LIBRARIES" "RBZ.LINKAGE" "RBZ.LINES" "RBZ.COVERAGE")
  (:shadow "SAVE-IMAGE")
  (:export "CORE-COMMAND" "TEST-COMMAND"))

(defpackage "RBZ.STEM"
  (:documentation "An image that has loaded what several actions need, and forks their processes.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.ACTION")
  (:export "SERVE"))

(defpackage "RBZ.DRIVER"
  (:documentation "The program itself: one command for each kind of action.")
  (:use "COMMON-LISP" "RBZ.PARAMETERS" "RBZ.REPORT" "RBZ.LOADING" "RBZ.STEM")
  (:export "MAIN" "SAVE"))
