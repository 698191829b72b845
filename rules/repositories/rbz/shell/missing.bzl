"""Stands for a shell that was not found."""

def _missing_shell_impl(ctx):
    fail("no bash was found on PATH: commands of genrule and shell scripts need one")

missing_shell = rule(
    implementation = _missing_shell_impl,
    doc = "An error for whoever needs a shell.",
)
