"""Stands for a shell that was not found."""

load("//core:programs.bzl", "install_hint")

def _missing_shell_impl(ctx):
    fail("no bash was found on PATH: commands of genrule and shell scripts need one\n" + install_hint("bash"))

missing_shell = rule(
    implementation = _missing_shell_impl,
    doc = "An error for whoever needs a shell.",
)
