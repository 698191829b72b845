"""The functions for rules on C and C++."""

load("@rbz//cc:defs.bzl", _cc_common = "cc_common")

cc_common = _cc_common
