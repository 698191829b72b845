"""What Lisp rules tell each other, for rules that are built on them."""

load(
    "@rbz//lisp:provider.bzl",
    _LispInfo = "LispInfo",
    _collect_lisp_info = "collect_lisp_info",
    _extend_lisp_info = "extend_lisp_info",
    _print_provider = "print_provider",
)

LispInfo = _LispInfo
collect_lisp_info = _collect_lisp_info
extend_lisp_info = _extend_lisp_info
print_provider = _print_provider
