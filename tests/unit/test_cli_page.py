"""docs/reference/cli.md and the table of commands match the help of the commands."""

import pytest
from typer.testing import CliRunner

from ops_pipeline.cli import app, reference
from ops_pipeline.cli.commands import COMMANDS, loaded


def test_the_page_is_what_the_commands_say() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), (
        "write the page again: python -m ops_pipeline.cli.reference"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name: str) -> None:
    _, sentence = COMMANDS[name]

    assert loaded(name).name == name
    assert " ".join(loaded(name).help.split("\n\n")[0].split()) == sentence


@pytest.mark.parametrize(
    "words",
    ["", "run", "history", "approve", "hold add", "keys create", "archive restore", "import cloudtrail"],
)
def test_the_help_names_values_and_not_their_types(words: str) -> None:
    shown = CliRunner().invoke(app, [*words.split(), "--help"]).output

    assert "Usage: " in shown
    assert "<" not in shown.replace("created_at <", "")
