"""Reads a database password from a file or a command for each new connection.

So passwords may rotate and tokens may expire. The source of the password is kept in private
parameters of the URL, which are removed before the URL is passed to PostgreSQL.
"""

import shlex
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from psycopg import conninfo

COMMAND, FILE = "ops_password_command", "ops_password_file"
SECONDS = 30.0
"""How long the password command may take. Cloud tools print a token in less."""


class PasswordError(Exception):
    """The password cannot be read; the message names its source and never its content."""


def with_source(url: str, *, command: str | None = None, file: Path | None = None) -> str:
    """The URL with the password's source added; unchanged when neither source is given."""
    if command is None and file is None:
        return url
    source = {COMMAND: command} if command is not None else {FILE: str(file)}
    parts = urlsplit(without_source(url))
    added = urlencode(source, quote_via=quote)
    return parts._replace(query=f"{parts.query}&{added}" if parts.query else added).geturl()


def without_source(url: str) -> str:
    """The URL without the private parameters, as PostgreSQL's own programs accept it."""
    return _split(url)[0]


def with_password(url: str) -> str:
    """The connection string with the password read now. Raises PasswordError, after at most 30 s."""
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
        # The command's standard error, such as "session expired", goes to this process's standard error.
        done = subprocess.run(
            shlex.split(command), stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PasswordError(f"password_command did not exit within {SECONDS:g} s") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PasswordError(f"password_command cannot be run: {reason}") from None
    password = done.stdout.rstrip("\r\n")
    if done.returncode != 0 or not password:
        raise PasswordError(
            f"password_command exited with code {done.returncode}"
            + ("" if password else " and printed no password")
        )
    return password


def _written_in(file: str) -> str:
    try:
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise PasswordError(f"password_file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PasswordError(f"password_file {file} is not UTF-8 text") from None
    if not password:
        raise PasswordError(f"password_file {file} is empty")
    return password
