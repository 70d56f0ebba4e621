"""Finds the name of the operating system's user, for the audit log."""

import os
import pwd


def person(on_behalf_of: str | None = None) -> str:
    """The name of this process's user, as the operating system knows it, whatever the environment says.

    `uid 1000` where that user id has no name, as in a container. `on_behalf_of` is a statement of that user,
    and recorded as one: `root on behalf of ada`.
    """
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"uid {uid}"
    return f"{user} on behalf of {on_behalf_of}" if on_behalf_of else user
