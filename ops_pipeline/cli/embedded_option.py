"""Adds `--embedded` to the commands of every text that is shown while the embedded server is in use."""

import re
from pathlib import Path

from ops_pipeline.cli.commands import COMMANDS

ITS_OWN = {"demo", "up"}
"""The commands that use the embedded server without the option."""
COMMAND = re.compile(rf"\bopsctl (?=(?:{'|'.join(COMMANDS.keys() - ITS_OWN)})\b)")


def program() -> str:
    """The beginning of command lines that work on the same database as this process."""
    installed = ".venv/bin/opsctl" if Path(".venv/bin/opsctl").exists() else "opsctl"
    return f"{installed} --embedded" if _on_embedded_server() else installed


def with_option(text: str) -> str:
    """The text with its commands as a person can paste them here.

    Messages say plain `opsctl …`: most are stored, or made where the terminal that shows them is unknown.
    """
    if COMMAND.search(text) is None or not _on_embedded_server():
        return text
    return COMMAND.sub("opsctl --embedded ", text)


def _on_embedded_server() -> bool:
    # Not loaded before there is a command to show: `opsctl --help` should be there at once.
    from ops_pipeline import settings  # noqa: PLC0415
    from ops_pipeline.postgres import embedded  # noqa: PLC0415

    try:
        url = settings.load().database_url
    except settings.SettingsError:
        return False  # this is what is being reported
    return url is None or embedded.serves(url)
