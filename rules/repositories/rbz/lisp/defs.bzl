"""The Lisp rules."""

load(":binary.bzl", _lisp_binary = "lisp_binary", _lisp_test = "lisp_test")
load(":compile.bzl", _lisp_compile_srcs = "lisp_compile_srcs")
load(":library.bzl", _lisp_library = "lisp_library")
load(":provider.bzl", _LispInfo = "LispInfo")

LispInfo = _LispInfo
lisp_binary = _lisp_binary
lisp_compile_srcs = _lisp_compile_srcs
lisp_library = _lisp_library
lisp_test = _lisp_test
