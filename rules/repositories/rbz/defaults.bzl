"""The repositories that every workspace has: the Lisp and the shell of this machine."""

load("//lisp:sbcl_configure.bzl", "sbcl_configure")
load("//shell:configure.bzl", "shell_configure")

def default_repositories():
    """Declares `@lisp`, `@local_sbcl` and `@shell`, unless the WORKSPACE has."""
    for name in ["lisp", "local_sbcl"]:
        if not native.existing_rule(name):
            sbcl_configure(name = name)
    if not native.existing_rule("shell"):
        shell_configure(name = "shell")
