"""Repositories of this machine under the names that Bazel's users load them by."""

def local_repository(**kwargs):
    """A directory that is a repository.

    Args:
      **kwargs: as the function of the same name that needs no load().
    """
    native.local_repository(**kwargs)

def new_local_repository(**kwargs):
    """A directory that gets a BUILD file.

    Args:
      **kwargs: as the function of the same name that needs no load().
    """
    native.new_local_repository(**kwargs)
