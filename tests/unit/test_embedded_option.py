"""Commands in a text can be pasted at a terminal that uses the embedded server."""

import pytest

from ops_pipeline.cli import embedded_option, output
from ops_pipeline.cli.table import Table
from ops_pipeline.postgres import embedded

STRANGE = "postgresql://app@db.example/app"


@pytest.fixture
def on_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", STRANGE)
    monkeypatch.setattr(embedded, "serves", lambda url: url == STRANGE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("To allow it: opsctl approve a1", "To allow it: opsctl --embedded approve a1"),
        ("then `opsctl run`; opsctl hold list", "then `opsctl --embedded run`; opsctl --embedded hold list"),
        ("opsctl --embedded plan", "opsctl --embedded plan"),
        ("opsctl demo, opsctl up", "opsctl demo, opsctl up"),
        ("started by opsctl or cron", "started by opsctl or cron"),
    ],
)
@pytest.mark.usefixtures("on_embedded_server")
def test_the_option_is_added_where_it_is_missing(text: str, shown: str) -> None:
    assert embedded_option.with_option(text) == shown


@pytest.mark.usefixtures("on_embedded_server")
def test_every_printed_text_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("why")
    table.add_row("opsctl approve a1")

    output.answer({}, "opsctl approve a2", table, as_json=False)
    output.complain("opsctl approve a3")
    output.answer({"do": "opsctl approve a4"}, as_json=True)

    said = capsys.readouterr()
    for number in (1, 2):
        assert f"opsctl --embedded approve a{number}" in said.out
    assert "opsctl --embedded approve a3" in said.err
    assert '{"do":"opsctl approve a4"}' in said.out, "what a script reads is stored like any other text"


def test_a_database_of_ones_own_needs_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", STRANGE)
    assert embedded_option.with_option("opsctl plan") == "opsctl plan"


def test_an_invalid_setting_is_reported_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_BATCH_TARGET_SECONDS", "soon")
    assert embedded_option.with_option("opsctl plan") == "opsctl plan"
