"""docs/reference/cli.md matches the help of the commands."""

from ops_pipeline.cli import reference


def test_the_page_is_what_the_commands_say() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), (
        "write the page again: python -m ops_pipeline.cli.reference"
    )
