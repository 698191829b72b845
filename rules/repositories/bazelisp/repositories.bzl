"""The repositories that bazelisp needs: here they come with the program."""

def bazelisp_repositories():
    """Does nothing: all that is needed is there."""
