"""Finds the address of a request's client, behind trusted proxies."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from ops_pipeline.settings import Networks

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Client:
    """The address of a request's client, and that of the peer of its connection; None for a Unix socket.

    They differ only behind a trusted proxy.
    """

    address: str | None
    peer: str | None

    @classmethod
    def of(cls, peer: str | None, forwarded_for: Sequence[str], trusted: Networks) -> Self:
        """The client of a request from that peer with these headers `X-Forwarded-For`.

        The address is the peer's, unless the peer is a trusted proxy: then the last address in
        `X-Forwarded-For` that is not a trusted proxy's. What is to the left of it is the word of that client,
        and is not believed.
        """
        address = parsed(peer) if peer is not None else None
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        while address is not None and hops and is_trusted(address, trusted):
            if (before := parsed(hops.pop().strip())) is None:
                break
            address = before
        return cls(_text(address) if address is not None else None, peer)


def counted_as(address: str | None) -> str | None:
    """What an address is counted as: an IPv6 address as its /64 network, all of which one host may use."""
    if address is None or ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))


_text = lru_cache(maxsize=4096)(str)


@lru_cache(maxsize=4096)
def parsed(text: str) -> Address | None:
    """The address; None where the text is not an address."""
    try:
        # The type inet has no zone ("fe80::1%eth0").
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_trusted(address: Address, trusted: Networks) -> bool:
    """Whether it is the address of a trusted proxy."""
    return any(address in network for network in trusted)
