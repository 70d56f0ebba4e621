"""`opsctl doctor`: reports what keeps policies from running or endangers rows, with the fix for each."""

from collections import Counter
from collections.abc import Iterator, Sequence

import typer

from ops_pipeline import settings
from ops_pipeline.cli.approve import Database
from ops_pipeline.cli.context import chosen_databases
from ops_pipeline.cli.output import Json, answer, counted, one_line
from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.examine import SEVERITIES, Diagnosed, examine
from ops_pipeline.maintenance import kinds
from ops_pipeline.policies import model
from ops_pipeline.postgres import embedded


def doctor(chosen: Database = None, as_json: Json = False) -> None:
    """Report what keeps policies from running or endangers rows, and how to fix it. Changes nothing.

    Exits with 1 if there is an error: a policy cannot run, or rows are in danger.
    """
    loaded = settings.load()
    databases = chosen_databases(loaded, kinds.load(loaded.policies), chosen)
    with embedded.resolved(loaded) as resolved:
        found = [diagnosed for database in databases for diagnosed in examine(database, resolved)]
    answer({"findings": found}, *_lines(databases, found), as_json=as_json)
    if any(diagnosed.severity == "error" for diagnosed in found):
        raise typer.Exit(1)


def _lines(databases: Sequence[model.Database], found: Sequence[Diagnosed]) -> Iterator[str]:
    """A paragraph for each finding. Lines are not wrapped, so that a remedy can be pasted."""
    for diagnosed in found:
        yield one_line(f"{diagnosed.database}  {diagnosed.severity}  {diagnosed.id}  {diagnosed.subject}")
        yield one_line(f"  {diagnosed.problem}.")
        for number, remedy in enumerate(diagnosed.remedies):
            yield one_line(f"  {'' if number == 0 else 'or: '}{remedy}")
        yield ""
    counts = Counter(diagnosed.severity for diagnosed in found)
    numbers = ", ".join(_counted(counts[severity], severity) for severity in SEVERITIES)
    asked = ", ".join(database.name for database in databases)
    yield f"{numbers}; {len(DIAGNOSES)} questions asked of {asked} (docs/reference/doctor.md)"


def _counted(number: int, severity: str) -> str:
    return f"{number} info" if severity == "info" else counted(number, severity)
