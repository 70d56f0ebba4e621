"""What proxies in front of the API say of a request: the address of its client, the prefix of its path."""

import re
from typing import Any

from litestar.connection import ASGIConnection

from ops_pipeline.access.client_address import Client, is_trusted, parsed
from ops_pipeline.settings import Networks


def client_of(request: ASGIConnection[Any, Any, Any, Any], trusted: Networks) -> Client:
    """Where the request came from."""
    client = request.scope["client"]
    peer = client[0] if client else None
    return Client.of(peer, _sent(request, b"x-forwarded-for"), trusted)


def forwarded_prefix(request: ASGIConnection[Any, Any, Any, Any], trusted: Networks) -> str:
    """What a trusted proxy has removed from the beginning of the path (`X-Forwarded-Prefix`), such as `/ops`;
    empty without one."""
    prefix = next(iter(_sent(request, b"x-forwarded-prefix")), "").rstrip("/")
    if not PREFIX.fullmatch(prefix):
        return ""
    peer = parsed(request.client.host) if request.client else None
    return prefix if peer is not None and is_trusted(peer, trusted) else ""


def _sent(request: ASGIConnection[Any, Any, Any, Any], header: bytes) -> list[str]:
    # The framework's `headers` would decode every header first.
    return [value.decode("latin-1") for name, value in request.scope["headers"] if name == header]


PREFIX = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")
