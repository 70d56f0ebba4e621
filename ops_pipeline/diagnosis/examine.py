"""Asks the questions: those to a database of each, those about the installation once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import sleep
from typing import Literal

import psycopg

from ops_pipeline import settings
from ops_pipeline.diagnosis import code_location
from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination, Installation, NotAskedError, Severity
from ops_pipeline.finding import Finding
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect, connect_bare
from ops_pipeline.postgres.snapshot import snapshot
from ops_pipeline.postgres.time_limit import time_limit

SEVERITIES: Sequence[Severity] = ("error", "warning", "info")
LIMIT_SECONDS = 30.0
"""How long each statement of a diagnosis may take."""
OF_DATABASE = tuple(diagnosis for diagnosis in DIAGNOSES if not diagnosis.concerns_installation)
OF_INSTALLATION = tuple(diagnosis for diagnosis in DIAGNOSES if diagnosis.concerns_installation)


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A finding, with its database and diagnosis. One of the `remedies` is enough.

    `database`: empty for a finding about the installation.
    """

    database: str
    severity: Severity
    id: str
    subject: str
    problem: str
    remedies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """The findings, errors first, and the questions that were not asked, by id, each with the reason."""

    findings: Sequence[Diagnosed]
    unasked: Mapping[str, str] = field(default_factory=dict)

    def state(self, id_: str) -> Literal["ok", "not asked"] | Severity:
        """The answer to the question with that id: ok, or the severity of what it found."""
        for finding in self.findings:
            if finding.id == id_:
                return finding.severity
        return "not asked" if id_ in self.unasked else "ok"


NO_DATABASE = Answers((), {diagnosis.id: "policies.yaml cannot be read" for diagnosis in OF_DATABASE})
"""The answers where no database is known."""


def together(answers: Iterable[Answers]) -> Answers:
    """All of the answers as one. A question that one database was not asked counts as not asked."""
    every = list(answers)
    return Answers(
        _sorted(finding for answered in every for finding in answered.findings),
        {id_: reason for answered in every for id_, reason in answered.unasked.items()},
    )


def examine(database: Database, given: settings.Settings) -> Answers:
    """Asks a database all questions that concern one, in the order of DIAGNOSES.

    Reads only. A database that cannot be reached is one finding. So is a diagnosis that fails: what it checks
    is unknown.
    """
    url = ""
    try:
        url = database.url(settings.environment(given))
        connection = connect(url, "opsctl doctor", database=database.name)
    except (DatabaseUnavailableError, PolicyError) as error:
        reason = (
            error if isinstance(error, DatabaseUnavailableError) else DatabaseUnavailableError(str(error))
        )
        explained = [(each, list(each.explain(url, reason))) for each in OF_DATABASE]
        return Answers(
            _sorted(found for each, findings in explained for found in _of(database.name, each, findings)),
            {each.id: f"no connection to {database.name}" for each, findings in explained if not findings},
        )
    with connection:
        examined = Examination(connection, database.policies, given, database)

        def find(diagnosis: Diagnosis) -> Iterable[Finding]:
            if connection.closed:
                raise NotAskedError("the connection was lost")
            with snapshot(connection), time_limit(connection, LIMIT_SECONDS):
                return list(dict.fromkeys(diagnosis.find(examined)))

        return _ask(database.name, OF_DATABASE, find)


def examine_installation(
    given: settings.Settings,
    policies: Policies | PolicyError,
    send_test: Callable[[], None] | None = None,
    *,
    wait: Callable[[float], None] = sleep,
) -> Answers:
    """Asks the questions that concern no single database; see Installation.

    Writes and deletes a file in the archive, and otherwise reads only.
    """
    dagster: DatabaseUnavailableError | Connection
    try:
        dagster = connect_bare(given.dagster_database_url or "")
    except DatabaseUnavailableError as error:
        dagster = error
    installation = Installation(given, policies, dagster, code_location.load, send_test, wait)

    def look(diagnosis: Diagnosis) -> Iterable[Finding]:
        return list(diagnosis.look(installation))

    try:
        return _ask("", OF_INSTALLATION, look)
    finally:
        if not isinstance(dagster, DatabaseUnavailableError):
            dagster.close()


def _ask(
    database: str, diagnoses: Sequence[Diagnosis], ask: Callable[[Diagnosis], Iterable[Finding]]
) -> Answers:
    found: list[Diagnosed] = []
    unasked: dict[str, str] = {}
    for diagnosis in diagnoses:
        try:
            findings = ask(diagnosis)
        except NotAskedError as reason:
            unasked[diagnosis.id] = str(reason)
            continue
        except psycopg.Error as error:
            said = (error.diag.message_primary or str(error)).strip()
            findings = [Finding(database or diagnosis.id, f"this could not be checked: {said}")]
        found += _of(database, diagnosis, findings)
    return Answers(_sorted(found), unasked)


def _of(database: str, diagnosis: Diagnosis, findings: Iterable[Finding]) -> Iterator[Diagnosed]:
    for finding in findings:
        yield Diagnosed(
            database,
            diagnosis.severity,
            diagnosis.id,
            finding.subject,
            finding.problem,
            finding.remedies,
        )


def _sorted(found: Iterable[Diagnosed]) -> list[Diagnosed]:
    return sorted(found, key=lambda diagnosed: SEVERITIES.index(diagnosed.severity))
