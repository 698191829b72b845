"""What needs no load(): rules in BUILD files, the rest in .bzl files."""

load(
    "//cc:defs.bzl",
    _CcInfo = "CcInfo",
    _cc_binary = "cc_binary",
    _cc_common = "cc_common",
    _cc_import = "cc_import",
    _cc_library = "cc_library",
    _cc_test = "cc_test",
)
load("//core:filegroup.bzl", _filegroup = "filegroup")
load("//core:genrule.bzl", _genrule = "genrule")
load("//core:shell.bzl", _sh_binary = "sh_binary", _sh_library = "sh_library", _sh_test = "sh_test")
load(
    "//lisp:defs.bzl",
    _lisp_binary = "lisp_binary",
    _lisp_library = "lisp_library",
    _lisp_test = "lisp_test",
)

CcInfo = _CcInfo
cc_binary = _cc_binary
cc_common = _cc_common
cc_import = _cc_import
cc_library = _cc_library
cc_test = _cc_test
filegroup = _filegroup
genrule = _genrule
lisp_binary = _lisp_binary
lisp_library = _lisp_library
lisp_test = _lisp_test
sh_binary = _sh_binary
sh_library = _sh_library
sh_test = _sh_test
