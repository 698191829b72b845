"""The C and C++ rules."""

load(":binary.bzl", _cc_binary = "cc_binary", _cc_test = "cc_test")
load(":common.bzl", _cc_common = "cc_common")
load(":import.bzl", _cc_import = "cc_import")
load(":library.bzl", _cc_library = "cc_library")
load(":provider.bzl", _CcInfo = "CcInfo")

CcInfo = _CcInfo
cc_binary = _cc_binary
cc_common = _cc_common
cc_import = _cc_import
cc_library = _cc_library
cc_test = _cc_test
