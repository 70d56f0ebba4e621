"""Text from a database is shown in a terminal without control characters taking effect."""

import io
import json

import pytest
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ops_pipeline.cli import output

# Color, title and clipboard of a terminal, the cursor, C1 controls, a newline and reversed text.
NAMES = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]52;c;bm8=\x07",
    "a\rb\x08",
    "\x9b31m",
    "\u2028x",
    "\u200ex\u061c",
    "\u202etxt",
]


@pytest.mark.parametrize("name", NAMES)
def test_control_characters_are_shown_and_not_interpreted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    for each in (output.console, output.notes):
        monkeypatch.setattr(each, "_file", file)  # `file` would be fixed to this test's stream afterwards
    table = Table("name")
    table.add_row(escape(name))
    table.caption = name

    output.answer(None, f"a line with {name}", table, as_json=False)
    output.complain(ValueError(name))

    shown = file.getvalue()
    assert not set(shown) & (set(map(chr, [*range(32), *range(127, 160)])) | {"\u2028", "\u202e"}) - {"\n"}
    assert shown.count(output.visible(name)) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_text_that_was_made_before_is_shown_so_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(output.console, "_file", file)

    made = Text(name, "red")  # rich removes some of the characters itself
    output.console.print(made, Text.assemble(("a", "bold"), name))

    assert not output.CONTROL.search(file.getvalue())
    assert file.getvalue().count(output.visible(made.plain)) == 2


@pytest.mark.parametrize("name", NAMES)
def test_json_has_no_control_character_and_means_the_same(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output.answer({"name": name}, as_json=True)

    written = capsys.readouterr().out
    assert not output.CONTROL.search(written)
    assert json.loads(written) == {"name": name}


def test_a_traceback_that_quotes_a_database_shows_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    error = LookupError("no row \x1b]52;c;bm8=\x07 of \ud800")

    output.show_uncaught(LookupError, error, None)

    assert capsys.readouterr().err == r"LookupError: no row \x1b]52;c;bm8=\x07 of \ud800" + "\n"


def test_a_name_with_a_newline_is_shown_on_one_line() -> None:
    assert output.one_line("x\n  ALTER ROLE mallory SUPERUSER;\r\n") == (
        r"x\n  ALTER ROLE mallory SUPERUSER;\r\n"
    )
