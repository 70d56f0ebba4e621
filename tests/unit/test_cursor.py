"""A cursor contains its position, and only this API can create one."""

import string
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_pipeline.audit.cursor import CursorError, Cursors, Position

CURSORS = Cursors(b"secret")
MOMENTS = st.datetimes(timezones=st.just(UTC))
POSITIONS = st.builds(Position, MOMENTS, st.uuids(), st.none() | MOMENTS)
PLACE = Position(datetime(2026, 3, 1, tzinfo=UTC), UUID(int=7))


@given(POSITIONS, st.text(st.characters(codec="utf-8")))
def test_a_cursor_is_read_as_it_was_written(position: Position, question: str) -> None:
    cursor = CURSORS.write(position, question)

    assert CURSORS.read(cursor, question) == position
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")


@given(st.data())
def test_a_cursor_that_was_altered_anywhere_is_refused(data: st.DataObject) -> None:
    cursor = CURSORS.write(PLACE, "a question")
    place = data.draw(st.integers(0, len(cursor) - 1))
    altered = cursor[:place] + data.draw(st.sampled_from("AZaz09-_=! é")) + cursor[place + 1 :]
    cut = cursor[: data.draw(st.integers(0, len(cursor) - 1))]

    for strange in {altered, cut, cursor + "A"} - {cursor}:
        with pytest.raises(CursorError, match="not a cursor of this API"):
            CURSORS.read(strange, "a question")


def test_a_cursor_of_another_query_is_refused_as_such() -> None:
    with pytest.raises(CursorError, match="other filters"):
        CURSORS.read(CURSORS.write(PLACE, "a question"), "another")


def test_a_cursor_needs_the_secret() -> None:
    with pytest.raises(CursorError, match="not a cursor of this API"):
        Cursors(b"other").read(CURSORS.write(PLACE, "a question"), "a question")


def test_a_token_signed_for_another_purpose_is_no_cursor() -> None:
    with pytest.raises(CursorError):
        CURSORS.read(CURSORS.seal(b"something else"), "a question")


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(CursorError):
        CURSORS.read(text, "a question")
