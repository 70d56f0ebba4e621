"""Empties the queue of a listening socket: closing it resets the connections that the kernel has accepted."""

import asyncio
import ctypes
import select
import socket
import struct
from collections.abc import Sequence

import structlog

HANDSHAKE_SECONDS = 0.2
"""How long the queue must stay empty: clients whose first packet came before may take a round trip."""
MOST_SECONDS = 2.0
POLL_SECONDS = 0.01
SO_ATTACH_FILTER = 26
# Classic BPF, of which the data is the TCP header: load the byte of the flags; if SYN is set, keep 0 bytes of
# the packet, otherwise all.
WITHOUT_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF))

log = structlog.get_logger()


async def emptied(listening: Sequence[socket.socket]) -> None:
    """Returns once the event loop, which listens on these sockets, has accepted every connection of their
    queues.

    From the call on the kernel begins no new connection (Linux): it drops their first packets, which clients
    repeat after a second; by then the socket is closed, and they are refused.
    """
    quiet = HANDSHAKE_SECONDS
    queues = select.poll()
    for one in listening:
        queues.register(one, select.POLLIN)
        if not _begin_none(one):
            quiet = 0.0
    loop = asyncio.get_running_loop()
    began = last = loop.time()
    while (now := loop.time()) - began < MOST_SECONDS:
        if queues.poll(0):
            last = now
        elif now - last >= quiet:
            return
        await asyncio.sleep(POLL_SECONDS)


def _begin_none(listening: socket.socket) -> bool:
    instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in WITHOUT_SYN)
    code = ctypes.create_string_buffer(instructions)
    program = struct.pack("HP", len(WITHOUT_SYN), ctypes.addressof(code))
    try:
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError as error:
        # A few connections may be reset that arrive between the last look and the close.
        log.warning("new connections cannot be kept from the queue", error=str(error))
        return False
    return True
