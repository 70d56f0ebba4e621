"""Decompresses gzip data of any number of members, in linear time."""

import zlib
from collections.abc import Iterator

PIECE = 4 * 1024
"""Bytes decompressed at a time. At the end of a member zlib copies what follows it, so this is the most
that each member copies; and a decompressed piece has at most 4 MiB."""


class GzipError(ValueError):
    """The data is not gzip or damaged; the message is that of zlib."""


class TruncatedError(GzipError):
    """The data ends within a member."""


class TooManyMembersError(GzipError):
    """The data has more members than allowed."""


def decompressed(data: bytes, most_members: int | None = None) -> Iterator[bytes]:
    """The content of all members, in pieces. Zero bytes between and after members are padding.

    Raises GzipError, after the pieces before the damage; TruncatedError at the end of truncated data;
    TooManyMembersError.
    """
    members = 0
    member = None
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        while piece and (member is not None or (piece := piece.lstrip(b"\0"))):
            if member is None:
                members += 1
                if most_members is not None and members > most_members:
                    raise TooManyMembersError(f"more than {most_members} members")
                member = zlib.decompressobj(wbits=31)
            try:
                yield member.decompress(piece)
            except zlib.error as error:
                raise GzipError(str(error)) from None
            piece = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise TruncatedError("unexpected end of data")
