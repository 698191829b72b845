"""The rule `cc_binary`."""

load("@rbz//cc:defs.bzl", _cc_binary = "cc_binary")

cc_binary = _cc_binary
