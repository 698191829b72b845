"""`http_archive` under the name that Bazel's users load it by."""

def http_archive(**kwargs):
    """An archive that becomes a repository.

    Args:
      **kwargs: as the function of the same name that needs no load().
    """
    native.http_archive(**kwargs)
