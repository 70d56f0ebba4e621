"""`opsctl doctor`: reports what keeps policies from running or endangers rows, with the fix for each."""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pkgutil import resolve_name
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from ops_pipeline import settings
from ops_pipeline.cli.context import chosen_databases
from ops_pipeline.cli.options import Database
from ops_pipeline.cli.output import Json, answer, console, notes, one_line
from ops_pipeline.counted import counted
from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.diagnosis import Diagnosis
from ops_pipeline.diagnosis.examine import (
    NO_DATABASE,
    SEVERITIES,
    Answers,
    examine,
    examine_installation,
    together,
)
from ops_pipeline.maintenance import kinds
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres import embedded

SendTest = Annotated[bool, typer.Option("--send-test", help="Also post a test message to OPS_WEBHOOK_URL.")]
COLORS = {"ok": "green", "error": "red", "warning": "yellow", "info": "cyan", "not asked": "dim"}
WIDEST = max(map(len, COLORS))


def doctor(chosen: Database = None, send_test: SendTest = False, as_json: Json = False) -> None:
    """Report what keeps policies from running or endangers rows, and how to fix it.

    Changes nothing in a database; writes a file to the archive and deletes it.
    Watches a running Dagster daemon until its next heartbeat, up to 38 s.

    Exits with 1 if there is an error: a policy cannot run, or rows are in danger.
    """
    loaded = settings.load()
    policies = _policies(loaded)
    databases = [] if isinstance(policies, PolicyError) else chosen_databases(loaded, policies, chosen)
    with embedded.resolved(loaded) as resolved, notes.status("Asking …"), ThreadPoolExecutor(1) as beside:
        installation = beside.submit(
            examine_installation, resolved, policies, _test(resolved) if send_test else None
        )
        asked = [examine(database, resolved) for database in databases] or [NO_DATABASE]
        answers = together([*asked, installation.result()])
    answer(_content(answers), *_lines(answers, [each.name for each in databases]), as_json=as_json)
    if any(finding.severity == "error" for finding in answers.findings):
        raise typer.Exit(1)


def _policies(loaded: settings.Settings) -> Policies | PolicyError:
    try:
        return kinds.load(loaded.policies)
    except PolicyError as error:
        return error


def _test(resolved: settings.Settings) -> Callable[[], None]:
    # By name: it needs Dagster, which takes seconds to import.
    post: Callable[[settings.Settings], None] = resolve_name("ops_pipeline.orchestration.webhook:post_test")
    return lambda: post(resolved)


def _content(answers: Answers) -> dict[str, object]:
    questions = [
        {
            "id": diagnosis.id,
            "question": diagnosis.question,
            "answer": answers.state(diagnosis.id),
            "reason": answers.unasked.get(diagnosis.id),
        }
        for diagnosis in DIAGNOSES
    ]
    return {"questions": questions, "findings": answers.findings}


def _lines(answers: Answers, databases: list[str]) -> Iterator[RenderableType]:
    """A line for each question, then a paragraph for each finding.

    Remedies are not wrapped, so that they can be pasted.
    """
    for diagnosis in DIAGNOSES:
        yield _line(answers, diagnosis)
    yield ""
    for diagnosed in answers.findings:
        where = f"{diagnosed.database}  " if diagnosed.database else ""
        yield one_line(f"{diagnosed.severity}  {where}{diagnosed.id}  {diagnosed.subject}")
        # With a remedy the problem's last sentence introduces it: "To create them:". An error's own text has
        # its remedies within the sentence.
        if diagnosed.remedies and all(remedy in diagnosed.problem for remedy in diagnosed.remedies):
            yield one_line(f"  {diagnosed.problem.removesuffix('.')}.")
        else:
            yield _wrapped(one_line(f"  {diagnosed.problem}{':' if diagnosed.remedies else '.'}"), 2)
            for number, remedy in enumerate(diagnosed.remedies):
                yield one_line(f"  {'' if number == 0 else 'or: '}{remedy}")
        yield ""
    counts = Counter(diagnosed.severity for diagnosed in answers.findings)
    numbers = ", ".join(_counted(counts[severity], severity) for severity in SEVERITIES)
    of = f" of {', '.join(databases)}" if databases else ""
    yield f"{numbers}; {len(DIAGNOSES)} questions{of} (docs/reference/doctor.md)"


def _line(answers: Answers, diagnosis: Diagnosis) -> Text:
    state = answers.state(diagnosis.id)
    reason = answers.unasked.get(diagnosis.id) if state == "not asked" else None
    said = f"{diagnosis.question} ({reason})" if reason else diagnosis.question
    whole = _wrapped(f"{state:<{WIDEST}}  {one_line(said)}", WIDEST + 2)
    return Text.assemble((whole[:WIDEST], COLORS[state]), whole[WIDEST:])


def _wrapped(text: str, indent: int) -> str:
    """The text, at a terminal wrapped to its width; further lines are indented."""
    if not console.is_terminal:
        return text
    return textwrap.fill(
        text, console.width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False,
        replace_whitespace=False, drop_whitespace=True,
    )  # fmt: skip


def _counted(number: int, severity: str) -> str:
    return f"{number} info" if severity == "info" else counted(number, severity)
