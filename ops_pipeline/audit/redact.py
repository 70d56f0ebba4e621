"""Takes secrets out of JSON-like data before it is kept."""

import json
import re
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"
DEEPEST = 100

SECRET_ENDINGS = (
    "password", "passwd", "passphrase",
    "sessiontoken", "securitytoken", "bearertoken", "accesstoken", "refreshtoken", "identitytoken", "idtoken",
    "authtoken", "authorizationtoken", "tokencode", "samlassertion",
    "secretaccesskey", "secretkey", "clientsecret", "secretstring", "secretbinary",
    "privatekey", "keymaterial", "apikey",
    "authorization", "signature", "cookie",
)  # fmt: skip
SECRET_NAMES = frozenset({"token", "secret", "pwd"})
"""Secret on their own; at the end of a longer name they are not: nextToken, forceOverwriteReplicaSecret."""

NAMES = frozenset({"key", "name", "parameterkey", "parametername"})
VALUES = frozenset({"value", "parametervalue", "stringvalue"})
"""What the two halves are called where a name and its value are two entries of one object."""


def redact(value: Any) -> Any:
    """The value with every secret in it replaced by "[redacted]"; the one given is left as it is.

    A secret is what stands, at any depth, under a name such as sessionToken, SecretAccessKey,
    masterUserPassword, x-amz-security-token or Authorization (case and separators do not matter, and an
    access key's id is none), whatever it is except null, true or false; and what shows itself inside a
    text: a bearer token, an AWS session token, `password=…` in a query, the password in a URL, a private
    key. A text that is itself JSON is looked into, and written anew only when a secret was found. What
    is nested deeper than 100 levels cannot be looked into and is replaced as a whole.

    Everything else is unchanged, and redacting twice is the same as once.
    """
    return _redacted(value, 0)


def _redacted(value: Any, depth: int) -> Any:
    if depth > DEEPEST and isinstance(value, dict | list):
        return REDACTED
    match value:
        case dict():
            pair = any(_normal(name) in NAMES and _is_secret(content) for name, content in value.items())
            return {
                name: REDACTED
                if _hides(content) and (_is_secret(name) or (pair and _normal(name) in VALUES))
                else _redacted(content, depth + 1)
                for name, content in value.items()
            }
        case list() | tuple():
            return [_redacted(element, depth + 1) for element in value]
        case str():
            return _without_secrets(value, depth)
        case _:
            return value


def _hides(value: Any) -> bool:
    return value is not None and not isinstance(value, bool)


def _is_secret(name: Any) -> bool:
    normal = _normal(name)
    return normal in SECRET_NAMES or normal.endswith(SECRET_ENDINGS)


def _normal(name: Any) -> str:
    return _letters(name) if isinstance(name, str) else ""


@lru_cache(maxsize=4096)
def _letters(name: str) -> str:
    """`X-Amz-Security-Token` and `xAmzSecurityTokens` are the same name."""
    return re.sub(r"[^a-z0-9]", "", name[:200].lower()).removesuffix("s")


def _without_secrets(text: str, depth: int) -> str:
    if text.lstrip()[:1] in {"{", "[", '"'}:
        try:
            content = json.loads(text, object_pairs_hook=_every_pair)
        except RecursionError:
            return REDACTED
        except ValueError:
            pass  # text that only begins like JSON
        else:
            cleared = _redacted(content, depth + 1)
            return text if cleared == content else json.dumps(cleared, ensure_ascii=False)
    for pattern, replacement in TELLTALES:
        text = pattern.sub(replacement, text)
    return text


def _every_pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A name given twice keeps both values: the last one alone could hide a secret in the first.
    values: dict[str, Any] = {}
    for name, value in pairs:
        values[name] = [values[name], value] if name in values else value
    return values


def _redacted_pair(pair: re.Match[str]) -> str:
    return f"{pair[1]}={REDACTED}" if _is_secret(pair[1]) else pair[0]


TELLTALES = (
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{16,}"), rf"\1{REDACTED}"),
    # What every token of AWS STS begins with: the first bytes, in base64, say where it comes from.
    (re.compile(r"\b(?:IQoJb3JpZ2lu|F[QW]oGZXIvYXdz|FQoDYXdz)[A-Za-z0-9+/=%_-]{16,}"), REDACTED),
    (re.compile(r"""(?<![\w.-])([\w.-]+)=("[^"]*"|'[^']*'|[^\s&;,"']+)"""), _redacted_pair),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+(@)"), rf"\1{REDACTED}\2"),
    (re.compile(r"(?s)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(-----END [A-Z ]{0,40}-----|\Z)"), REDACTED),
)  # fmt: skip
