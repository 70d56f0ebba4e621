"""Redacts secrets in JSON-like data before it is stored."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from math import isfinite
from operator import is_
from typing import Any

REDACTED = "[redacted]"
DEEPEST = 100

DEFAULT_NAMES = (
    "*password", "*passwd", "*passphrase",
    "*sessionToken", "*securityToken", "*bearerToken", "*accessToken", "*refreshToken", "*identityToken",
    "*idToken", "*authToken", "*authorizationToken", "*tokenCode", "*samlAssertion",
    "*secretAccessKey", "*secretKey", "*clientSecret", "*secretString", "*secretBinary",
    "*privateKey", "*keyMaterial", "*apiKey",
    "*authorization", "*signature", "*cookie",
    # Not at the end of a longer name: nextToken, forceOverwriteReplicaSecret.
    "token", "secret", "pwd",
)  # fmt: skip
"""The names whose values are secrets, unless a list says otherwise."""
DEFAULT = "default"
"""Stands for these names in a list."""

PLAIN, SECRET, PAIR_NAME, PAIR_VALUE = range(1, 5)
"""What a name says of its value. A pair is an object that holds a name and its value in two entries."""
PAIR = {
    "key": PAIR_NAME, "name": PAIR_NAME, "parameterkey": PAIR_NAME, "parametername": PAIR_NAME,
    "value": PAIR_VALUE, "parametervalue": PAIR_VALUE, "stringvalue": PAIR_VALUE,
}  # fmt: skip

LONGEST_NAME = 200
"""A longer text is not the name in a pair."""
LONGEST_KNOWN_NAME, MOST_KNOWN_NAMES = 100, 4096
"""What is remembered of names, which clients choose."""
MOST_DIGITS = 4300
"""Python converts no longer integers."""


@lru_cache(maxsize=16)
def redactor(names: tuple[str, ...] | None) -> "Redactor":
    """The redactor with these names; None: the built-in ones."""
    return Redactor(DEFAULT_NAMES if names is None else names)


class Redactor:
    """Replaces secrets by "[redacted]". Threads may share one.

    A secret is any value except null, true or false, at any depth, under one of the names: `token` is that
    name, `*token` also the end of a longer one, and `default` stands for the built-in list. Case, separators
    and a final s do not matter: `*sessionToken` is also x-amz-session-tokens. Inside of texts, these are
    secrets: a bearer token, an AWS session token, `password=…` with one of the names, the password in a URL,
    a private key. Without names nothing is replaced.
    """

    def __init__(self, names: Iterable[str]) -> None:
        given = set(names)
        if DEFAULT in given:
            given = given - {DEFAULT} | set(DEFAULT_NAMES)
        self.replaces_nothing = not given
        self._endings = tuple(_letters(name) for name in given if name.startswith("*"))
        self._names = frozenset(_letters(name) for name in given)
        self._known: dict[str, int] = {}

    def redact(self, value: Any) -> Any:
        """The value with every secret replaced; the value itself where it has none.

        A text that is JSON is parsed, and encoded again only when a secret was found. Values nested deeper
        than 100 levels are replaced as a whole. Everything else is unchanged, and redacting twice gives the
        same result as once.
        """
        return value if self.replaces_nothing else self._redacted(value, 0)

    def _redacted(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return self._without_secrets(value, depth)
        if kind is not dict and kind is not list:
            return value
        if depth > DEEPEST:
            return REDACTED
        if kind is dict:
            return self._redacted_object(value, depth)
        elements = [self._redacted(element, depth + 1) for element in value]
        return value if all(map(is_, elements, value)) else elements

    def _redacted_object(self, fields: dict[str, Any], depth: int) -> dict[str, Any]:
        replaced: dict[str, Any] = {}
        has_secret_name = False
        known, redact = self._known.get, self._redacted
        for name, content in fields.items():
            kind = known(name) or self._kind(name)
            if kind == SECRET and _hides(content):
                replaced[name] = REDACTED
            elif (redacted := redact(content, depth + 1)) is not content:
                replaced[name] = redacted
            if kind == PAIR_NAME and isinstance(content, str) and len(content) <= LONGEST_NAME:
                has_secret_name = has_secret_name or self._kind(content) == SECRET
        if has_secret_name:
            values = (name for name in fields if self._kind(name) == PAIR_VALUE and _hides(fields[name]))
            replaced.update(dict.fromkeys(values, REDACTED))
        return {**fields, **replaced} if replaced else fields

    def _kind(self, name: str) -> int:
        kind = self._known.get(name)
        if kind is None:
            letters = _letters(name)
            is_secret = letters in self._names or letters.endswith(self._endings)
            kind = SECRET if is_secret else PAIR.get(letters, PLAIN)
            if len(name) <= LONGEST_KNOWN_NAME:
                if len(self._known) >= MOST_KNOWN_NAMES:
                    self._known.clear()
                self._known[name] = kind
        return kind

    def _without_secrets(self, text: str, depth: int) -> str:
        if text[:1] in _BEGINS_JSON:
            try:
                content = _JSON.decode(text)
            except RecursionError:
                return REDACTED
            except ValueError:
                pass  # text that begins like JSON but is not
            else:
                cleared = self._redacted(content, depth + 1)
                return text if cleared == content else _encoded(cleared)
        # Most texts have none of these marks, and finding that out takes a tenth of the time of the patterns.
        if len(text) >= SHORTEST_TOKEN:
            if "bearer" in text.lower():
                text = BEARER.sub(rf"\1{REDACTED}", text)
            if "IQoJb3JpZ2lu" in text or "oGZXIvYXdz" in text or "FQoDYXdz" in text:
                text = AWS_TOKEN.sub(REDACTED, text)
            if "-----BEGIN" in text:
                text = PRIVATE_KEY.sub(REDACTED, text)
        if "=" in text:
            text = ASSIGNMENT.sub(self._redacted_assignment, text)
        return URL_PASSWORD.sub(rf"\1{REDACTED}\2", text) if "://" in text else text

    def _redacted_assignment(self, assignment: re.Match[str]) -> str:
        name = assignment[1]
        return f"{name}={REDACTED}" if self._kind(name) == SECRET else assignment[0]


def _hides(content: Any) -> bool:
    return content is not None and not isinstance(content, bool)


def _letters(name: str) -> str:
    """`X-Amz-Security-Token` and `xAmzSecurityTokens` are the same."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")


def _every_pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A repeated name keeps both values: the last one could hide a secret in the first.
    values: dict[str, Any] = {}
    for name, value in pairs:
        values[name] = [values[name], value] if name in values else value
    return values


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MOST_DIGITS else digits


def _number(digits: str) -> float | str:
    return number if isfinite(number := float(digits)) else digits


_JSON = json.JSONDecoder(object_pairs_hook=_every_pair, parse_int=_integer, parse_float=_number)


def _encoded(value: Any) -> str:
    # Half of a surrogate pair is only possible as an escape.
    return re.sub(
        "[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", json.dumps(value, ensure_ascii=False)
    )


_BEGINS_JSON = frozenset('{[" \t\r\n')
SHORTEST_TOKEN = 23
"""No bearer token, AWS token or private key is shorter, with what marks it."""
BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{16,}")
# The prefixes of AWS STS tokens: their first bytes, in base64, name the origin.
AWS_TOKEN = re.compile(r"\b(?:IQoJb3JpZ2lu|F[QW]oGZXIvYXdz|FQoDYXdz)[A-Za-z0-9+/=%_-]{16,}")
PRIVATE_KEY = re.compile(r"(?s)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(-----END [A-Z ]{0,40}-----|\Z)")
ASSIGNMENT = re.compile(r"""(?<![\w.-])([\w.-]+)=("[^"]*"|'[^']*'|[^\s&;,"']+)""")
URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(@)")
