"""Hides secrets in text that is to be logged.

What has the form of a credential is hidden wherever it stands: an API key, user and password in a URL,
`password=…`, a bearer token. The secrets of our own settings are hidden by their value too, but not every
word that equals one: a password `app` would blank that word in every message, and a reader of the log would
see which word it is. So a value is hidden everywhere only if it is distinctive; any other one only where it
is named as a password.
"""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN = "[hidden]"
KEY = re.compile(r"\bops_(?:tail_[A-Za-z0-9_-]{75}|[A-Za-z0-9_-]{43})\b")
"""An API key, as `ops_pipeline.access.keys` creates them, and a token of `api.auth.tail_tokens`."""
CREDENTIALS = re.compile(r"(?<=://)[^\s/@'\"]*:[^\s/'\"]*(?=@)")
"""User and password in a URL."""
NAMED = re.compile(
    r"(?i)\b((?:ssl)?(?:password|passwd)=)(?:'(?:[^'\"\\]|\\[^\"])*'|[^\s'\"&,;)\\]+)"
    r"|\b(bearer )(?=\S*\d)[\w.~+/=-]{8,}"
)
"""A password in a connection string, and a bearer token."""

LEAST_MIXED, LEAST_PLAIN = 8, 16
"""A value with at least so many characters is distinctive; the second if it has letters alone or digits
alone, as words, times and counters have."""
LABELLED = r"(?i)(\b(?:password|passwd|passphrase|secret|token|auth)\b\W{1,4})"
"""What stands before a value that is named as a secret."""
SECRET_PARAMETERS = re.compile(r"(?i)pass|secret|token|key|sig|auth|cred")
"""The names of secret parameters in URLs of databases and buckets, which have others too."""


class Redaction:
    """What is hidden: the forms above, and the secrets that were given to `add`."""

    def __init__(self) -> None:
        self._everywhere: set[str] = set()
        self._named: re.Pattern[str] | None = None
        self._words: set[str] = set()

    def add(self, urls: Iterable[str | None], addresses: Iterable[str | None] = ()) -> None:
        """Hides the passwords and query parameters of the URLs from now on, and of the `addresses`, which are
        secrets as a whole, the parts of their paths too."""
        given = [*((url, False) for url in urls if url), *((url, True) for url in addresses if url)]
        plain = {part for url, whole in given for part in _plain_parts(url, whole=whole)}
        for secret in {secret for url, whole in given for secret in _secrets(url, whole=whole)}:
            # As written in the URL, as decoded, and as either is written in JSON.
            forms = {secret, unquote(secret)}
            forms |= {json.dumps(form)[1:-1] for form in forms}
            (self._everywhere if is_distinctive(secret) and secret not in plain else self._words).update(
                forms
            )
        if self._words:
            longest_first = sorted(map(re.escape, self._words), key=len, reverse=True)
            self._named = re.compile(rf"{LABELLED}(?:{'|'.join(longest_first)})(?!\w)")

    def apply(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._everywhere:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        if "://" in text:
            text = CREDENTIALS.sub(HIDDEN, text)
        # Most lines have none of these words, and the expressions cost a hundred times as much.
        lower = text.lower()
        if "passw" in lower or "bearer " in lower:
            text = NAMED.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)
        if self._named is not None and any(word in lower for word in ("pass", "secret", "token", "auth")):
            text = self._named.sub(lambda found: f"{found[1]}{HIDDEN}", text)
        return KEY.sub(HIDDEN, text) if "ops_" in text else text


def is_distinctive(secret: str) -> bool:
    """Whether the value is unlikely to be a word or number of a log by chance."""
    plain = secret.isalpha() or secret.isdigit()
    return len(secret) >= (LEAST_PLAIN if plain else LEAST_MIXED)


def _secrets(url: str, *, whole: bool) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        password = parts.password or ""
    except ValueError:
        return
    known = parts.scheme.startswith(("postgres", "s3", "redis"))
    for pair in parts.query.split("&"):
        name, _, value = pair.partition("=")
        if not known or SECRET_PARAMETERS.search(name):
            yield from filter(None, [value])
    yield from filter(None, [password])
    if whole:
        yield from filter(None, parts.path.split("/"))


def _plain_parts(url: str, *, whole: bool) -> Iterator[str]:
    """The names in a URL that are not secrets, although a secret may equal one: user, host, database."""
    try:
        parts = urlsplit(url)
        yield from filter(None, [parts.username, parts.hostname, *([] if whole else parts.path.split("/"))])
        if parts.scheme.startswith("postgres"):
            yield from (value for name, value in parse_qsl(parts.query) if not SECRET_PARAMETERS.search(name))
    except ValueError:
        return
