"""Compressed request bodies."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.audit import body
from api.problems import Problem


@given(members=st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 3)), min_size=1, max_size=9))
@pytest.mark.parametrize("piece", [1, 7, 64 * 1024])
def test_gzip_members_are_read_wherever_a_chunk_ends(piece: int, members: list[tuple[bytes, int]]) -> None:
    compressed = b"".join(gzip.compress(content) + bytes(zeros) for content, zeros in members)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "PIECE", piece)

        assert body.inflated(compressed, "gzip") == b"".join(content for content, _ in members)
        with pytest.raises(Problem, match="unexpected end"):
            body.inflated(compressed + gzip.compress(b"x")[:-1], "gzip")


def test_the_number_of_gzip_members_is_limited() -> None:
    assert body.inflated(gzip.compress(b"") * body.MOST_MEMBERS, "gzip") == b""
    with pytest.raises(Problem, match="more than 1000 gzip members"):
        body.inflated(gzip.compress(b"") * (body.MOST_MEMBERS + 1), "gzip")
