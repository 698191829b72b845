"""The provider `CcInfo`."""

load("@rbz//cc:defs.bzl", _CcInfo = "CcInfo")

CcInfo = _CcInfo
