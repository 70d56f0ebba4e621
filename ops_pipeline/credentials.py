"""A password that is read for each new connection, from a file or a command: it rotates, or soon expires.

Where it comes from travels in the URL, in parameters of our own that PostgreSQL never sees.
"""

import shlex
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from psycopg import conninfo

COMMAND, FILE = "ops_password_command", "ops_password_file"
SECONDS = 30.0
"""How long a command may take: longer than any cloud's tool needs for a token."""


class PasswordError(Exception):
    """There is no password to be had now; the message says from where, and never what was read."""


def with_source(url: str, *, command: str | None = None, file: Path | None = None) -> str:
    """The URL whose connections take the password from there; as it was, where neither is given."""
    if command is None and file is None:
        return url
    source = {COMMAND: command} if command is not None else {FILE: str(file)}
    parts = urlsplit(without_source(url))
    added = urlencode(source, quote_via=quote)
    return parts._replace(query=f"{parts.query}&{added}" if parts.query else added).geturl()


def without_source(url: str) -> str:
    """The URL as PostgreSQL's own programs take it."""
    return _split(url)[0]


def with_password(url: str) -> str:
    """What a new connection is made with, its password read now. Raises PasswordError, after 30 s."""
    plain, source = _split(url)
    if command := source.get(COMMAND):
        return conninfo.make_conninfo(plain, password=_said_by(command))
    if file := source.get(FILE):
        return conninfo.make_conninfo(plain, password=_written_in(file))
    return plain


def _split(url: str) -> tuple[str, dict[str, str]]:
    if COMMAND not in url and FILE not in url:
        return url, {}
    parts = urlsplit(url)
    pairs = parts.query.split("&")
    ours = [pair for pair in pairs if pair.partition("=")[0] in {COMMAND, FILE}]
    others = "&".join(pair for pair in pairs if pair not in ours)
    return parts._replace(query=others).geturl(), dict(parse_qsl("&".join(ours)))


def _said_by(command: str) -> str:
    try:
        # What it says on standard error, such as that a session has ended, goes to ours.
        done = subprocess.run(
            shlex.split(command), stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise PasswordError(f"password_command cannot be carried out: {type(error).__name__}") from None
    password = done.stdout.rstrip("\r\n")
    if done.returncode != 0 or not password:
        raise PasswordError(
            f"password_command ended with exit code {done.returncode}"
            + ("" if password else " and said no password")
        )
    return password


def _written_in(file: str) -> str:
    try:
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PasswordError(f"password_file {file} cannot be read: {type(error).__name__}") from None
    if not password:
        raise PasswordError(f"password_file {file} is empty")
    return password
