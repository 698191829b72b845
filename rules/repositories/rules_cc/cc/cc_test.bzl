"""The rule `cc_test`."""

load("@rbz//cc:defs.bzl", _cc_test = "cc_test")

cc_test = _cc_test
