"""The Lisp rules under the name that workspaces written for bazelisp use."""

load(
    "@rbz//lisp:defs.bzl",
    _lisp_binary = "lisp_binary",
    _lisp_compile_srcs = "lisp_compile_srcs",
    _lisp_library = "lisp_library",
    _lisp_test = "lisp_test",
)

lisp_binary = _lisp_binary
lisp_compile_srcs = _lisp_compile_srcs
lisp_library = _lisp_library
lisp_test = _lisp_test
