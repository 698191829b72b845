"""The Lisp rules under the name that new workspaces use."""

load(
    "@rbz//lisp:defs.bzl",
    _LispInfo = "LispInfo",
    _lisp_binary = "lisp_binary",
    _lisp_library = "lisp_library",
    _lisp_test = "lisp_test",
)

LispInfo = _LispInfo
lisp_binary = _lisp_binary
lisp_library = _lisp_library
lisp_test = _lisp_test
