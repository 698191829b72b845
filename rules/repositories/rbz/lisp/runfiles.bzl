"""The files that a Lisp target and its users find when they run."""

def lisp_runfiles(ctx, files = []):
    """The runfiles of a target.

    Args:
      ctx: the rule's context; it has `data`, `srcs`, `deps` and `image`.
      files: files to add.

    Returns:
      Runfiles.
    """
    runfiles = ctx.runfiles(files = files + ctx.files.data)
    targets = ctx.attr.data + ctx.attr.srcs + ctx.attr.deps + ctx.attr.cdeps
    if ctx.attr.image:
        targets = targets + [ctx.attr.image]
    return runfiles.merge_all([target[DefaultInfo].default_runfiles for target in targets])
