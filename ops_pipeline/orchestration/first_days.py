"""Asks the databases for the day with which the partitions of each archive begin."""

import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import psycopg
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from psycopg import sql as compose

import sql
from ops_pipeline import settings
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration.archive_partitions import archived_by_day, earliest
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect, scalar
from ops_pipeline.postgres.relation import find_relation

log = logging.getLogger(__name__)

FirstDays = Mapping[str, date]
"""The first day by the policy's name. A policy is missing where its database did not answer."""

METADATA = "ops/first_days"
CONNECT_SECONDS = 2
STATEMENT_TIMEOUT = "1s"
AT_ONCE = 8


def first_days(policies: Policies) -> FirstDays:
    """The first archived day of each table; where nothing is archived yet, the day of its oldest row, which
    will be archived first; for an empty table, today.

    Asked once, when the code location loads. Runs get that answer, so that their days are those of the
    backfill that started them. Raises nothing when a database does not answer within a few seconds.
    """
    context = DefinitionsLoadContext.get()
    if context.load_type is DefinitionsLoadType.RECONSTRUCTION:
        answered = context.reconstruction_metadata.get(METADATA)
        if answered is not None:
            return {name: date.fromisoformat(day) for name, day in json.loads(answered).items()}
    databases = [database for database in policies.databases if archived_by_day(database)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        days = dict(pair for pairs in threads.map(_ask, databases) for pair in pairs)
    for_runs = json.dumps({name: day.isoformat() for name, day in days.items()})
    context.add_to_pending_reconstruction_metadata(METADATA, for_runs)
    return days


def _ask(database: Database) -> list[tuple[str, date]]:
    try:
        with (
            embedded.resolved(settings.load()) as resolved,
            connect(
                database.url(settings.environment(resolved)),
                "ops first days",
                statement_timeout=STATEMENT_TIMEOUT,
                connect_timeout=CONNECT_SECONDS,
            ) as connection,
        ):
            return list(_answers(connection, database))
    except (DatabaseUnavailableError, PolicyError, settings.SettingsError) as error:
        log.warning("%s: its archived days begin with %s for now: %s", database.name, earliest(), error)
        return []


def _answers(connection: Connection, database: Database) -> Iterator[tuple[str, date]]:
    for policy in archived_by_day(database):
        try:
            yield policy.name, _first_day(connection, policy)
        except (psycopg.Error, LookupError) as error:
            log.warning("%s: its archived days begin with %s for now: %s", policy.name, earliest(), error)


def _first_day(connection: Connection, policy: Retention) -> date:
    table = find_relation(connection, policy.table)
    between = {"earliest": earliest(), "latest": datetime.now(UTC).date()}
    statement = compose.SQL(sql.get("orchestration/first_day_with_rows")).format(
        table=table.identifier, column=compose.Identifier(policy.column)
    )
    first: date | None = scalar(
        connection,
        sql.get("orchestration/first_archived_day"),
        {**between, "schema": table.schema, "table": table.name},
    )
    if first is None and (oldest := connection.execute(statement, between).fetchone()):
        (first,) = oldest
    return first or between["latest"]
