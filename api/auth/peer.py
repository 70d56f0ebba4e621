"""What proxies in front of the API say of a request: the address of its client, the prefix of its path."""

import re
from typing import Any

from litestar.connection import ASGIConnection

from ops_pipeline.access.client_address import Client, is_trusted, parsed
from ops_pipeline.settings import Networks


def client_of(request: ASGIConnection[Any, Any, Any, Any], trusted: Networks) -> Client:
    """Where the request came from."""
    peer = request.client.host if request.client else None
    return Client.of(peer, request.headers.getall("X-Forwarded-For", []), trusted)


def forwarded_prefix(request: ASGIConnection[Any, Any, Any, Any], trusted: Networks) -> str:
    """What a trusted proxy has removed from the beginning of the path (`X-Forwarded-Prefix`), such as `/ops`;
    empty without one."""
    peer = parsed(request.client.host) if request.client else None
    prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    believed = peer is not None and is_trusted(peer, trusted) and PREFIX.fullmatch(prefix)
    return prefix if believed else ""


PREFIX = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")
