"""A long reason is shortened between sentences, never within a command."""

from hypothesis import given
from hypothesis import strategies as st

from ops_pipeline.orchestration.failure import LONGEST_REASON, MORE, shortened

SENTENCES = st.lists(st.text("abc -", min_size=1, max_size=120), min_size=1, max_size=12)


@given(SENTENCES)
def test_no_sentence_is_cut(sentences: list[str]) -> None:
    text = ". ".join(sentences)

    short = shortened(text)

    assert len(short) <= LONGEST_REASON
    if short != text:
        assert text.startswith(short.removesuffix(MORE) + ". ")


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    short = shortened("word " * 200)

    assert short == "word " * ((LONGEST_REASON - len(MORE)) // 5 - 1) + "word" + MORE
