"""The repositories that every workspace has: the Lisp, the C compiler and the shell of this machine, and rbz."""

load("//cc:configure.bzl", "cc_configure")
load("//lisp:sbcl_configure.bzl", "sbcl_configure")
load("//shell:configure.bzl", "shell_configure")
load("//tool:configure.bzl", "rbz_configure")

def default_repositories():
    """Declares `@lisp`, `@local_sbcl`, `@cc`, `@local_config_cc`, `@shell` and `@rbz_program`, unless the WORKSPACE has."""
    for name in ["lisp", "local_sbcl"]:
        if not native.existing_rule(name):
            sbcl_configure(name = name)
    for name in ["cc", "local_config_cc"]:
        if not native.existing_rule(name):
            cc_configure(name = name)
    if not native.existing_rule("shell"):
        shell_configure(name = "shell")
    if not native.existing_rule("rbz_program"):
        rbz_configure(name = "rbz_program")
