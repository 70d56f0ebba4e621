"""Runs all diagnoses on a database."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

from ops_pipeline import settings
from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination, Severity
from ops_pipeline.finding import Finding
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect
from ops_pipeline.postgres.snapshot import snapshot
from ops_pipeline.postgres.time_limit import time_limit

SEVERITIES: Sequence[Severity] = ("error", "warning", "info")
LIMIT_SECONDS = 30.0
"""How long each statement of a diagnosis may take."""


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A finding, with its database and diagnosis. One of the `remedies` is enough."""

    database: str
    severity: Severity
    id: str
    subject: str
    problem: str
    remedies: tuple[str, ...]


def examine(database: Database, given: settings.Settings) -> list[Diagnosed]:
    """The findings of all diagnoses, errors first, in the order of DIAGNOSES.

    Reads only. A database that cannot be reached is one finding. So is a diagnosis that fails: what it checks
    is unknown.
    """
    found = list(_examined(database, given))
    return sorted(found, key=lambda diagnosed: SEVERITIES.index(diagnosed.severity))


def _examined(database: Database, given: settings.Settings) -> Iterator[Diagnosed]:
    url = ""
    try:
        url = database.url(settings.environment(given))
        connection = connect(url, "opsctl doctor")
    except (DatabaseUnavailableError, PolicyError) as error:
        reason = (
            error if isinstance(error, DatabaseUnavailableError) else DatabaseUnavailableError(str(error))
        )
        for diagnosis in DIAGNOSES:
            yield from _of(database, diagnosis, diagnosis.explain(url, reason))
        return
    with connection:
        examined = Examination(connection, database.policies, given)
        for diagnosis in DIAGNOSES:
            yield from _of(database, diagnosis, _asked(examined, diagnosis, database))
            if connection.closed:
                return


def _asked(examined: Examination, diagnosis: Diagnosis, database: Database) -> Iterable[Finding]:
    connection = examined.connection
    try:
        with snapshot(connection), time_limit(connection, LIMIT_SECONDS):
            return list(dict.fromkeys(diagnosis.find(examined)))
    except psycopg.Error as error:
        reason = (error.diag.message_primary or str(error)).strip()
        return [Finding(database.name, f"this could not be checked: {reason}")]


def _of(database: Database, diagnosis: Diagnosis, findings: Iterable[Finding]) -> Iterator[Diagnosed]:
    for finding in findings:
        yield Diagnosed(
            database.name,
            diagnosis.severity,
            diagnosis.id,
            finding.subject,
            finding.problem,
            finding.remedies,
        )
