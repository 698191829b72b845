"""What needs no load() in BUILD files."""

load("//core:filegroup.bzl", _filegroup = "filegroup")
load("//core:genrule.bzl", _genrule = "genrule")
load("//core:shell.bzl", _sh_binary = "sh_binary", _sh_library = "sh_library", _sh_test = "sh_test")
load(
    "//lisp:defs.bzl",
    _lisp_binary = "lisp_binary",
    _lisp_library = "lisp_library",
    _lisp_test = "lisp_test",
)

filegroup = _filegroup
genrule = _genrule
lisp_binary = _lisp_binary
lisp_library = _lisp_library
lisp_test = _lisp_test
sh_binary = _sh_binary
sh_library = _sh_library
sh_test = _sh_test
