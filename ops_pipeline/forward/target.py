"""The address that events are forwarded to, and the name under which its position is kept."""

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class ForwardRefusedError(Exception):
    """Events cannot be forwarded with these options; nothing was sent. The message says what is right."""


@dataclass(frozen=True)
class Target:
    """An address and its name. `is_named`: whether the name was chosen, not made from the host.

    The address is a secret but for its host: receivers put tokens into paths and queries.
    """

    name: str
    host: str
    url: str = field(repr=False)
    is_named: bool

    @cached_property
    def address_sha256(self) -> bytes:
        """Distinguishes two addresses of one host. Without the query, where tokens change."""
        return hashlib.sha256(urlsplit(self.url)._replace(query="").geturl().encode()).digest()


def target_of(url: str, name: str | None) -> Target:
    """The target at that address, by default named after its host. Raises ForwardRefusedError."""
    import httpx  # noqa: PLC0415 - `opsctl status` reads positions and must start at once

    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        httpx.URL(url)
        valid = bool(host) and parts.scheme in {"http", "https"} and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid or "#" in url:
        raise ForwardRefusedError("to: must be a web address without #: https://siem.example.com/events")
    if "@" in parts.netloc:
        raise ForwardRefusedError(
            "to: has a user or a password, which every user of this machine can read; set "
            'OPS_FORWARD_HEADER="Authorization: Basic …" instead'
        )
    if parts.scheme != "https" and not _is_loopback(host):
        raise ForwardRefusedError(
            f"to: {host} would get the events unencrypted; write https://. Only this machine itself may be "
            "reached by http://, such as a collector at http://127.0.0.1:8080"
        )
    own_name = host.replace(":", "-").strip("-")  # an IPv6 address has colons
    return Target(named(own_name if name is None else name), host, url, name is not None)


def named(name: str) -> str:
    """The name, if it can be one. Raises ForwardRefusedError."""
    if not NAME.fullmatch(name):
        raise ForwardRefusedError(
            f"name: {name[:80]!r} cannot be a name; write letters, digits, dots, hyphens and underscores, at "
            "most 63, and a letter or digit first"
        )
    return name


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
