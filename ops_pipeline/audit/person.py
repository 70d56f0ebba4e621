"""Finds the name of the operating system's user, for the audit log."""

import getpass


def person() -> str:
    """The name of this process's user; `unknown` when the user id has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
