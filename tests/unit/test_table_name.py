"""A table's name is parsed as people write it, and written so that it can be parsed again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_pipeline.postgres.relation import TableName

NAMES = st.text(min_size=1, max_size=12).filter(lambda name: "\0" not in name and name.strip())


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("sessions", "public", "sessions"),
        ("public.sessions", "public", "sessions"),
        ("billing.invoices", "billing", "invoices"),
        ("Billing.Invoices", "Billing", "Invoices"),
        ('"a.b"', "public", "a.b"),
        ('"a.b"."c d"', "a.b", "c d"),
        ('billing."say ""hi"""', "billing", 'say "hi"'),
        ('""""', "public", '"'),
        ("Day's rows", "public", "Day's rows"),
        ("größe", "public", "größe"),
        ('say"so', "public", 'say"so'),
        ('billing.10"', "billing", '10"'),
    ],
)
def test_a_name_is_read_as_it_is_written(text: str, schema: str, name: str) -> None:
    assert TableName.parse(text) == TableName(schema, name)


@pytest.mark.parametrize(
    "text", ["", " ", ".", "a.", ".a", "a..b", "a.b.c", '""', '"a', '"a"b', '"a".', '" "']
)
def test_an_invalid_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (valid table )?name"):
        TableName.parse(text)


@given(schema=NAMES, name=NAMES)
def test_a_written_name_is_read_back_unchanged(schema: str, name: str) -> None:
    table = TableName(schema, name)

    assert TableName.parse(str(table)) == table


def test_only_the_schema_public_is_omitted() -> None:
    assert str(TableName("public", "sessions")) == "sessions"
    assert str(TableName("billing", "Year 1")) == 'billing."Year 1"'
    assert TableName("a.b", 'c"d').identifier.as_string(None) == '"a.b"."c""d"'
