"""Redacts secrets in JSON-like data before it is stored."""

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
"""Secret as whole names, but not at the end of a longer one: nextToken, forceOverwriteReplicaSecret."""

NAMES = frozenset({"key", "name", "parameterkey", "parametername"})
VALUES = frozenset({"value", "parametervalue", "stringvalue"})
"""The keys of objects that hold a name and its value in two entries."""


def redact(value: Any) -> Any:
    """A copy of the value with every secret replaced by "[redacted]".

    A secret is any value except null, true or false, at any depth, under a name such as sessionToken,
    SecretAccessKey, masterUserPassword, x-amz-security-token or Authorization (case and separators do not
    matter; an access key's id is not a secret). Inside of texts, these are secrets: a bearer token, an AWS
    session token, `password=…` in a query, the password in a URL, a private key. A text that is JSON is
    parsed, and encoded again only when a secret was found. Values nested deeper than 100 levels are replaced
    as a whole.

    Everything else is unchanged, and redacting twice gives the same result as once.
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
    """Normalizes a name: `X-Amz-Security-Token` and `xAmzSecurityTokens` are the same."""
    return re.sub(r"[^a-z0-9]", "", name[:200].lower()).removesuffix("s")


def _without_secrets(text: str, depth: int) -> str:
    if text.lstrip()[:1] in {"{", "[", '"'}:
        try:
            content = json.loads(text, object_pairs_hook=_every_pair)
        except RecursionError:
            return REDACTED
        except ValueError:
            pass  # text that begins like JSON but is not
        else:
            cleared = _redacted(content, depth + 1)
            return text if cleared == content else json.dumps(cleared, ensure_ascii=False)
    for pattern, replacement in TELLTALES:
        text = pattern.sub(replacement, text)
    return text


def _every_pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A repeated name keeps both values: the last one could hide a secret in the first.
    values: dict[str, Any] = {}
    for name, value in pairs:
        values[name] = [values[name], value] if name in values else value
    return values


def _redacted_pair(pair: re.Match[str]) -> str:
    return f"{pair[1]}={REDACTED}" if _is_secret(pair[1]) else pair[0]


TELLTALES = (
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{16,}"), rf"\1{REDACTED}"),
    # The prefixes of AWS STS tokens: their first bytes, in base64, name the origin.
    (re.compile(r"\b(?:IQoJb3JpZ2lu|F[QW]oGZXIvYXdz|FQoDYXdz)[A-Za-z0-9+/=%_-]{16,}"), REDACTED),
    (re.compile(r"""(?<![\w.-])([\w.-]+)=("[^"]*"|'[^']*'|[^\s&;,"']+)"""), _redacted_pair),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+(@)"), rf"\1{REDACTED}\2"),
    (re.compile(r"(?s)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(-----END [A-Z ]{0,40}-----|\Z)"), REDACTED),
)  # fmt: skip
