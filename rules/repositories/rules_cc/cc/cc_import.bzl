"""The rule `cc_import`."""

load("@rbz//cc:defs.bzl", _cc_import = "cc_import")

cc_import = _cc_import
