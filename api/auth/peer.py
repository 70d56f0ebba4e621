"""What proxies in front of the API say of a request: the address of its client, the prefix of its path."""

import ipaddress
import re
from typing import Any

from litestar.connection import ASGIConnection

from ops_pipeline.settings import Networks

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(request: ASGIConnection[Any, Any, Any, Any], trusted: Networks) -> str | None:
    """The address that the request came from; None for a Unix socket.

    That is the peer's, unless the peer is a trusted proxy: then the last address in `X-Forwarded-For` that is
    not a trusted proxy's. What is to the left of it is the word of that client, and is not believed.
    """
    address = _address(request.client.host) if request.client else None
    hops = [hop for value in request.headers.getall("X-Forwarded-For", []) for hop in value.split(",")]
    while address is not None and hops and _is_trusted(address, trusted):
        if (before := _address(hops.pop().strip())) is None:
            break
        address = before
    return str(address) if address is not None else None


def forwarded_prefix(request: ASGIConnection[Any, Any, Any, Any], trusted: Networks) -> str:
    """What a trusted proxy has removed from the beginning of the path (`X-Forwarded-Prefix`), such as `/ops`;
    empty without one."""
    peer = _address(request.client.host) if request.client else None
    prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    believed = peer is not None and _is_trusted(peer, trusted) and PREFIX.fullmatch(prefix)
    return prefix if believed else ""


PREFIX = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")


def counted_as(address: str | None) -> str | None:
    """What an address is counted as: an IPv6 address as its /64 network, all of which one host may use."""
    if address is None or ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))


def _address(text: str) -> Address | None:
    try:
        # The type inet has no zone ("fe80::1%eth0").
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, trusted: Networks) -> bool:
    return any(address in network for network in trusted)
