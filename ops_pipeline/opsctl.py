"""Command lines of `opsctl` for messages, ready to paste."""

from collections.abc import Iterable
from shlex import quote


def opsctl(*words: object, database: str | None = None, policies: Iterable[str] = ()) -> str:
    """The command line of these words, for one database of policies.yaml or for some policies of it.

    Each word is quoted for a shell where it has to be. `database`: None for a command that concerns all
    databases, or where the database's name in the file is unknown. At a terminal on the embedded server
    `cli.embedded_option` adds what is missing.
    """
    options = [] if database is None else ["--database", database]
    for policy in policies:
        options += ["--policy", policy]
    return " ".join(["opsctl", *(quote(str(word)) for word in (*words, *options))])
