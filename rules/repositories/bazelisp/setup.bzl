"""The second step of setting bazelisp up: here there is nothing to set up."""

def bazelisp_setup():
    """Does nothing: all that is needed is there."""
