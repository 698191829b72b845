"""Programs of the machine: where they are looked for, what belongs to them, and what to say without one."""

def searched_path(ctx):
    """PATH, as messages name it."""
    return "PATH (%s)" % ctx.os.environ.get("PATH", "")

def named_in_workspace(ctx):
    """The program that the attribute `path` names, or None; and how messages name that place."""
    path = ctx.path(ctx.attr.path)
    return (path if path.exists else None), "path = \"%s\" in WORKSPACE" % ctx.attr.path

def add_program(ctx, files, path):
    """Adds a program to the keys of `files`: at the path by which it is called and at its own, and its libraries."""
    files[path] = None
    files[str(ctx.path(path).realpath)] = None
    for library in ctx.dynamic_libraries(path):
        files[str(library)] = None

def install_hint(package):
    """How to get what is not there."""
    return "hint: install it, on Debian with `apt-get install %s`" % package

def not_found(what, looked, package, call, file):
    """The message of a toolchain whose program is nowhere.

    Args:
      what: the program.
      looked: the places, as text.
      package: what has it in Debian.
      call: the call in WORKSPACE that names one.
      file: the label of the file which that function is loaded from.
    """
    return "\n".join([
        "no %s was found; looked at: %s" % (what, looked),
        install_hint(package),
        "hint: or name it in WORKSPACE: `%s`, which is loaded from `%s`" % (call, file),
    ])
