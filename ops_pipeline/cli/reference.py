"""Writes docs/reference/cli.md from the commands and their help: `python -m ops_pipeline.cli.reference`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ops_pipeline.cli import app
from ops_pipeline.cli.commands import COMMANDS, loaded

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

HEAD = """\
# opsctl

The commands of `opsctl`, with their arguments, options and exit codes. `opsctl COMMAND --help` prints the
same. Do not edit this page: `python -m ops_pipeline.cli.reference` writes it from the help texts in
`ops_pipeline/cli/`.

Settings come from [the environment](settings.md), policies from [policies.yaml](policies.md). Results go to
standard output, errors to standard error. With `--json`, which every command but `up` takes, standard
output is one JSON object, or `{"error": …}` if there is no result. Times are in UTC.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed: a policy or a database failed, was refused, is late, is paused, or stopped with rows\
 remaining; no daemon will start the next run, unless this installation is run by `opsctl run` alone\
 (`status`); `doctor` or `archive verify` found a problem |
| 2 | wrong usage: an argument, `policies.yaml` or a setting is invalid, or names what does\
 not exist or cannot be used, such as a released hold; `check` found a problem; nothing was changed |
| 3 | nothing failed, but a plan needs approval (`plan`, `run`, `status`) |
| 130 | interrupted by Ctrl-C or SIGTERM; what was committed is kept |

In a terminal, a column that does not fit moves below its row. Into a pipe or a file each row is one line of\
 any length, without colors. Ids of plans and keys may be shortened to their first characters.

To complete commands and options with the Tab key in bash, zsh, fish or PowerShell, run\
 `opsctl --install-completion` once and open a new terminal.

Before the command:
"""
JSON = "as_json"
"""The option that the page's head explains for all commands."""


def page() -> str:
    """The page, as the commands are now."""
    root: Any = typer.main.get_command(app)
    commands = sorted(each for name in COMMANDS for each in _commands(loaded(name), f"opsctl {name}"))
    contents = [f"- [`{name}`](#{name.replace(' ', '-')}): {_first(command)}" for name, command in commands]
    sections = [_section(name, command) for name, command in commands]
    return "\n".join(
        [
            HEAD,
            *_table(root.params),
            "",
            "The commands:",
            "",
            *contents,
            "",
            *sections,
        ]
    )


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for subname, subcommand in command.commands.items():
        yield from _commands(subcommand, f"{name} {subname}")


def _section(name: str, command: Any) -> str:
    usage = " ".join([name, *map(_usage, command.params)])
    paragraphs = [" ".join(text.split()) for text in command.help.split("\n\n")]
    lines = [f"## {name}", *_spaced(f"    {usage}", *paragraphs)]
    own = [parameter for parameter in command.params if parameter.name != JSON]
    return "\n".join([*lines, *(["", *_table(own)] if own else []), ""])


def _spaced(*paragraphs: str) -> Iterator[str]:
    for paragraph in paragraphs:
        yield ""
        yield paragraph


def _first(command: Any) -> str:
    """The first paragraph of the command's help."""
    return str(command.help).split("\n\n", maxsplit=1)[0].replace("\n", " ")


def _table(parameters: list[Any]) -> list[str]:
    rows = (
        f"| `{_named(parameter)}` | {_default(parameter)} | {_cell(parameter.help)} |"
        for parameter in parameters
    )
    return ["| argument or option | default | meaning |", "|---|---|---|", *rows]


def _usage(parameter: Any) -> str:
    again = "…" if parameter.multiple or parameter.nargs < 0 else ""
    named = _named(parameter) + again
    return named if parameter.required else f"[{named}]"


def _named(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    option = str(parameter.opts[0])
    if parameter.is_flag:
        return option
    return f"{option} {parameter.metavar}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return f"`{parameter.default}`" if parameter.default not in (None, False) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
