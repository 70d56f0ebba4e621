"""docs/reference/cli.md and the table of commands match the help of the commands."""

import pytest

from ops_pipeline.cli import reference
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
