"""The `references` of an orphans policy is parsed, whatever its names are."""

import pytest
from pydantic import ValidationError

from ops_pipeline.maintenance.orphans.policy import OrphansSection
from ops_pipeline.postgres.relation import TableName


def referenced(text: str, columns: int) -> tuple[TableName, tuple[str, ...]]:
    given = {"table": "t", "columns": ["c"] * columns, "references": text}
    return OrphansSection.model_validate(given).references


@pytest.mark.parametrize(
    ("text", "table", "columns"),
    [
        ("sessions.id", ("public", "sessions"), ("id",)),
        ("app.sessions.id", ("app", "sessions"), ("id",)),
        ("sessions(tenant, id)", ("public", "sessions"), ("tenant", "id")),
        ("app.sessions (tenant,id)", ("app", "sessions"), ("tenant", "id")),
        ('sessions."a.b"', ("public", "sessions"), ("a.b",)),
        ('"x.y"."p.q"."a.b"', ("x.y", "p.q"), ("a.b",)),
        ('sessions("a.b", "c,d", e f)', ("public", "sessions"), ("a.b", "c,d", "e f")),
        ('sessions.say"so', ("public", "sessions"), ('say"so',)),
        ('sessions."say""so"', ("public", "sessions"), ('say"so',)),
        ('sessions(say"so, 100%)', ("public", "sessions"), ('say"so', "100%")),
        ('"p(x)"(a, b)', ("public", "p(x)"), ("a", "b")),
        ("n" * 63 + "." + "k" * 63, ("public", "n" * 63), ("k" * 63,)),
    ],
)
def test_a_reference_is_read_as_it_is_written(
    text: str, table: tuple[str, str], columns: tuple[str, ...]
) -> None:
    assert referenced(text, len(columns)) == (TableName(*table), columns)


@pytest.mark.parametrize(
    "text", ["p", "p.", "p()", "p(a,,b)", "p(a.b, c)", 'p("a)', "p(a,b", '"', "a.b.c.d", "n" * 63]
)
def test_an_invalid_reference_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is not a valid reference"):
        referenced(text, 1)
