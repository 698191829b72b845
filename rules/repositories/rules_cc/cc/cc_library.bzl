"""The rule `cc_library`."""

load("@rbz//cc:defs.bzl", _cc_library = "cc_library")

cc_library = _cc_library
