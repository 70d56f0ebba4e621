"""Asks a database all that there is to ask."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

import sql
from ops_pipeline import settings
from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination, Severity
from ops_pipeline.finding import Finding
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect

SEVERITIES: Sequence[Severity] = ("error", "warning", "info")
LIMIT_MILLISECONDS = 30_000
"""How long a statement of a diagnosis may take."""


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A finding in one of the databases, by which diagnosis. Of the `remedies` one is enough."""

    database: str
    severity: Severity
    id: str
    subject: str
    problem: str
    remedies: tuple[str, ...]


def examine(database: Database, given: settings.Settings) -> list[Diagnosed]:
    """What every diagnosis finds there, errors first, in the order of DIAGNOSES.

    Reads only. A database that cannot be asked is one finding. So is a diagnosis that fails: it may be that
    it would have found something.
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
        with connection.transaction():
            connection.execute(sql.get("postgres/snapshot"))
            connection.execute(sql.get("postgres/limit"), {"milliseconds": str(LIMIT_MILLISECONDS)})
            return list(dict.fromkeys(diagnosis.find(examined)))
    except psycopg.Error as error:
        reason = (error.diag.message_primary or str(error)).strip()
        return [Finding(database.name, f"this could not be found out: {reason}")]


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
