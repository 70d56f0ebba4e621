"""Who is at the terminal, as far as the operating system knows."""

import getpass


def person() -> str:
    """The name of the user that this process belongs to; `unknown` where there is only a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
