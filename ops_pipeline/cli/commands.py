"""The table of commands. A command is imported when it is used, so that `opsctl --help` is there at once."""

from datetime import datetime
from pkgutil import resolve_name
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "status": (
        "ops_pipeline.cli.status:status",
        "Show the last and next run, pauses, what needs approval, holds and the archive. Changes nothing.",
    ),
    "plan": (
        "ops_pipeline.cli.plan:plan",
        "Count what each policy would delete now, and store the plans that need approval. Deletes nothing.",
    ),
    "approve": (
        "ops_pipeline.cli.approve:approve",
        "Approve one plan for one run; without a plan, list pending approvals.",
    ),
    "run": (
        "ops_pipeline.cli.run:run",
        "Run every policy now, or those that are named, as a Dagster run, and wait for it to end.",
    ),
    "pause": (
        "ops_pipeline.cli.pause:pause",
        "Stop maintenance now, and keep it stopped until `opsctl resume`.",
    ),
    "resume": (
        "ops_pipeline.cli.pause:resume",
        "Let maintenance continue after `opsctl pause`.",
    ),
    "schedule": ("ops_pipeline.cli.schedule:app", "Turn on the schedules of nightly runs and the sensors."),
    "history": (
        "ops_pipeline.cli.history:history",
        "List the newest runs of every policy, or of one.",
    ),
    "check": (
        "ops_pipeline.cli.check:check",
        "Check policies.yaml against the databases. Changes nothing.",
    ),
    "doctor": (
        "ops_pipeline.cli.doctor:doctor",
        "Report what keeps policies from running or endangers rows, and how to fix it.",
    ),
    "migrate": (
        "ops_pipeline.cli.migrate:migrate",
        "Create or update our tables (the audit log, schema ops) in every database of the policies.",
    ),
    "adopt": (
        "ops_pipeline.cli.adopt:adopt",
        "Partition an ordinary table by day while the application continues to write.",
    ),
    "archive": ("ops_pipeline.cli.archive:app", "List, verify and restore archived rows."),
    "hold": ("ops_pipeline.cli.hold:app", "Protect rows from all policies (legal hold)."),
    "import": ("ops_pipeline.cli.imports:app", "Import audit events from other systems."),
    "forward": (
        "ops_pipeline.cli.forward:forward",
        "Forward audit events to another system, such as a SIEM, until it is stopped.",
    ),
    "keys": (
        "ops_pipeline.cli.keys:app",
        "Create, list, rotate and revoke keys for API and Dagster UI.",
    ),
    "track": (
        "ops_pipeline.cli.track:app",
        "Install, list and remove the triggers that record deleted parents.",
    ),
    "up": ("ops_pipeline.cli.up:up", "Run the Dagster UI and daemon and the API until Ctrl-C."),
    "demo": (
        "ops_pipeline.cli.up.demo:demo",
        "Fill an empty database with 120 days of a sample application's data, then run the policies.",
    ),
}
"""By name: the function, or the group of commands, and the first paragraph of its help."""


PLACEHOLDERS = {int: "N", float: "X", datetime: "YYYY-MM-DD"}
"""What stands for the value of an option, by its type; otherwise the option's own name."""


class Commands(TyperGroup):
    """All commands: by name and help alone, until one of them is used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, sentence) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=sentence))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and loaded(str(known.name)), rest

    def get_params(self, ctx: Any) -> Any:
        return [_with_placeholder(parameter) for parameter in super().get_params(ctx)]


def loaded(name: str) -> Any:
    """The command or group of that name."""
    root = typer.Typer(callback=lambda: None)  # with a callback Typer makes a group of a single command too
    place, _ = COMMANDS[name]
    found = resolve_name(place)
    if isinstance(found, typer.Typer):
        root.add_typer(found, name=name)
    else:
        root.command(name)(found)
    made: Any = typer.main.get_command(root)
    _add_placeholders(made.commands[name])
    return made.commands[name]


def _add_placeholders(command: Any) -> None:
    for parameter in command.get_params(typer.Context(command)):
        _with_placeholder(parameter)
    for subcommand in getattr(command, "commands", {}).values():
        _add_placeholders(subcommand)


def _with_placeholder(parameter: Any) -> Any:
    """The help then shows `--limit N` and `--json`, not `--limit <int>` and `--json <bool>`."""
    if parameter.param_type_name == "argument":
        parameter.display_type_rich = lambda ctx: None  # noqa: ARG005 - Typer gives it by name
    elif parameter.metavar is None:
        own_name = parameter.opts[0].removeprefix("--").replace("-", "_").upper()
        value = PLACEHOLDERS.get(parameter.type_descriptor.annotation, own_name)
        parameter.metavar = "" if parameter.is_flag else value
    return parameter
