"""Compressed request bodies."""

import gzip
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.audit import body
from api.problems import Problem
from ops_pipeline.audit import gunzip


@given(members=st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 3)), min_size=1, max_size=9))
@pytest.mark.parametrize("piece", [1, 7, 64 * 1024])
def test_gzip_members_are_read_wherever_a_chunk_ends(piece: int, members: list[tuple[bytes, int]]) -> None:
    compressed = b"".join(gzip.compress(content) + bytes(zeros) for content, zeros in members)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gunzip, "PIECE", piece)

        assert body.inflated(compressed, "gzip") == b"".join(content for content, _ in members)
        with pytest.raises(Problem, match="unexpected end"):
            body.inflated(compressed + gzip.compress(b"x")[:-1], "gzip")


def test_a_member_copies_little_of_what_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given_bytes = []

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._real = zlib.decompressobj(wbits)

        def decompress(self, data: bytes) -> bytes:
            given_bytes.append(len(data))
            return self._real.decompress(data)

        @property
        def eof(self) -> bool:
            return self._real.eof

        @property
        def unused_data(self) -> bytes:
            return self._real.unused_data

    fake = SimpleNamespace(decompressobj=Counting, error=zlib.error)
    monkeypatch.setattr(gunzip, "zlib", fake)
    members = 20_000

    assert b"".join(gunzip.decompressed(gzip.compress(b"") * members)) == b""
    assert sum(given_bytes) <= (members + 200) * 4096, "the rest of the file is not copied"


def test_the_number_of_gzip_members_is_limited() -> None:
    assert body.inflated(gzip.compress(b"") * body.MOST_MEMBERS, "gzip") == b""
    with pytest.raises(Problem, match="more than 1000 gzip members"):
        body.inflated(gzip.compress(b"") * (body.MOST_MEMBERS + 1), "gzip")


@pytest.mark.parametrize(
    "sent",
    [
        b"[" + b"0," * 8_000_000 + b"0]",
        b"[" + b"{}," * 1_500_000 + b"{}]",
        b"[" + b"0," * body.MOST_ITEMS + b"0]",
        b"[" + b"0," * body.MOST_ITEMS + b"nonsense]",
        b"1\n" * body.MOST_ITEMS + b"1",
    ],
)
def test_no_more_than_10_000_items_are_read(sent: bytes) -> None:
    with pytest.raises(Problem) as refused:
        body.events_of(sent, "application/x-ndjson" if sent.startswith(b"1") else "application/json")

    assert refused.value.status == 413


def test_exactly_10_000_items_are_read() -> None:
    for sent in (b"[" + b"0," * (body.MOST_ITEMS - 1) + b"0]", b"[" + b"[0,0]," * 9_999 + b"0]"):
        items = body.events_of(sent, "")
        assert items is not None
        assert len(items) == 10_000
        assert bytes(items[-1]) == b"0"


def test_the_search_for_items_in_an_invalid_array_ends() -> None:
    for sent in (b"[" * 16_000_000, b"[[" + b"[]" * 8_000_000, b"[[" + b"0," * 1_900_000):
        with pytest.raises(Problem) as refused:
            body.events_of(sent, "")
        assert refused.value.status == 400
