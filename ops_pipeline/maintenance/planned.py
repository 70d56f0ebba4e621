"""What one policy would do if it ran now. Reads only."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import catalog, holds, references
from ops_pipeline.maintenance.orphans import indexes, marking, reference, track
from ops_pipeline.maintenance.retention import method
from ops_pipeline.maintenance.retention.expired import cutoff as cutoff_now
from ops_pipeline.maintenance.retention.expired import expired
from ops_pipeline.maintenance.vacuum.planned import PlannedIndex, PlannedTable, plan_tables
from ops_pipeline.maintenance.windows import doomed

SAMPLE_ROWS = 20_000
SAMPLE_SECONDS = 5.0
"""How long about so many rows are looked at where all of them could not be counted."""
HEAP = compose.SQL("doomed.tableoid::bigint")
EACH_ONCE = compose.SQL("OFFSET 0")
"""Where it takes a look into other tables, what becomes of a row is asked once and not for each number."""
OLDEST_SECONDS = 1.0
"""How long the oldest row is looked for where the rows could not be counted; an index finds it at once."""


@dataclass(frozen=True, slots=True)
class Share:
    """What of one partition would go, in rows."""

    table: str
    eligible: int
    total: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What one policy would do, in rows.

    `eligible` of `total` would go, which is `fraction` of them and about `bytes` of the table with its
    indexes. Not among them, though due: what holds keep (`held`) and what rows that stay refer to
    (`referenced`). `unset`: rows whose time or reference is NULL, or whose time is infinite; they are kept.
    `oldest`, `newest`: of the eligible rows; `oldest_row`: of all. With `exact` false not all rows were
    counted, and the numbers are what a sample of them says.

    `cutoff`: rows older than that go. `method`, `why`: how they are found. `seconds`: how long that takes at
    the rate of the policy's last run; None when there was none. `partitions`: those of a partitioned table
    that would lose rows. `advice`: what would make it cheaper. `cascades`: tables whose rows
    go along by ON DELETE CASCADE. `problems`: what has to be mended before the policy can run. `stops`: why
    the guard would stop it. `dead_tuples`: dead row versions that wait for VACUUM, which itself removes no
    rows; `tables`: what it would do with each, in its order, and which it would leave alone;
    `indexes`: those that are bloated or were left over, and what it would do with them.
    """

    policy: str
    eligible: int
    total: int
    fraction: float
    method: str
    unset: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    oldest_row: datetime | None = None
    dead_tuples: int = 0
    exact: bool = True
    bytes: int = 0
    held: int = 0
    referenced: int = 0
    why: str = ""
    cutoff: datetime | None = None
    seconds: float | None = None
    partitions: tuple[Share, ...] = ()
    cascades: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    tables: tuple[PlannedTable, ...] = ()
    indexes: tuple[PlannedIndex, ...] = ()


def plan_one(
    connection: Connection,
    rule: policy.Policy,
    *,
    cutoff: datetime | None = None,
    limit_seconds: float,
    after_removal: bool = False,
) -> Planned:
    """What the policy would do if it ran now, or at that cutoff; everything of one moment.

    The rows are counted, for at most `limit_seconds`; then a sample of them has to do. `after_removal`: many
    have just gone, which is the same plan, counted in another way. The connection is in autocommit mode and
    in no transaction. Raises LookupError when the table is not there, HoldUnclearError, and psycopg.Error.
    """
    with connection.transaction():
        connection.execute(sql.get("session/snapshot"))
        connection.execute(sql.get("plan/one_processor"))
        if after_removal:
            connection.execute(sql.get("plan/unindexed"))
        match rule:
            case policy.Retention():
                return _retention(connection, rule, cutoff, limit_seconds)
            case policy.Orphans():
                return _orphans(connection, rule, limit_seconds)
            case policy.Vacuum():
                return _vacuum(connection, rule)


def _retention(
    connection: Connection, rule: policy.Retention, cutoff: datetime | None, limit_seconds: float
) -> Planned:
    before = cutoff or cutoff_now(connection, rule)
    question = _Question(
        connection,
        catalog.relation(connection, rule.table),
        {"column": doomed(rule.column), "expired": expired(rule, before)},
        due=expired(rule, before),
        unset=compose.SQL("{} IS NULL").format(doomed(rule.column)),
    )
    counted = question.count("plan/expired", limit_seconds) or question.estimate()
    if not counted.exact:
        counted = replace(counted, oldest=question.oldest(rule.column, before))
    chosen = method.choose(connection, rule, counted.fraction)
    return replace(question.completed(rule, counted), method=chosen.name, why=chosen.why, cutoff=before)


def _orphans(connection: Connection, rule: policy.Orphans, limit_seconds: float) -> Planned:
    of = reference.of(connection, rule)
    unset = compose.SQL("false") if rule.null_is_orphan else of.refers_to_nobody
    question = _Question(
        connection,
        of.child,
        {"unset": unset, "orphaned": of.orphaned},
        due=of.orphaned,
        unset=unset,
    )
    counted = question.count("plan/orphaned", limit_seconds) or question.estimate()
    search = marking.search(connection, of)
    advice = tuple(indexes.missing(connection, of)) + tuple(track.advice(connection, rule))
    return replace(
        question.completed(rule, counted), method=search.children.name, why=search.why, advice=advice
    )


def _vacuum(connection: Connection, rule: policy.Vacuum) -> Planned:
    planned = plan_tables(connection, rule)
    return Planned(
        rule.name,
        0,
        planned.live,
        0.0,
        planned.method,
        dead_tuples=planned.dead,
        tables=planned.tables,
        indexes=planned.indexes,
        advice=planned.advice,
    )


class _Question:
    """Asked of one table: how many of the rows that are `due` go, and what keeps the others."""

    def __init__(
        self,
        connection: Connection,
        table: catalog.Relation,
        fragments: Mapping[str, compose.Composable],
        *,
        due: compose.Composable,
        unset: compose.Composable,
    ) -> None:
        self._connection = connection
        self._table = table
        self._due = due
        self._unset = unset
        self._migrated = bool(scalar(connection, sql.get("plan/migrated")))
        self._unheld = holds.exclusion(holds.active(connection, table) if self._migrated else ())
        self._unreferenced = references.kept_back(connection, table)
        self._fragments = {
            **fragments,
            "table": table.identifier,
            "heap": HEAP if catalog.is_partitioned(connection, table) else compose.Literal(table.oid),
            "unheld": self._unheld,
            "unreferenced": self._unreferenced,
            "each_once": compose.SQL("") if self._unreferenced == references.EVERYTHING else EACH_ONCE,
        }

    def count(self, statement: str, limit_seconds: float) -> Planned | None:
        """The rows counted; None when that took too long."""
        rows = self._within(limit_seconds, compose.SQL(sql.get(statement)).format(**self._fragments))
        return None if rows is None else self._tally(rows)

    def estimate(self) -> Planned:
        """What a sample of the table says. Where not even that can be had, everything may go."""
        total = catalog.expected_rows(self._connection, self._table)
        seen = self._sample(total)
        sampled, goes, held, unset = seen if seen is not None and seen[0] > 0 else (1, 1, 0, 0)
        share = _fraction(goes, sampled)
        size = sum(size for _, size in self._sizes().values())
        return Planned(
            "",
            round(total * share),
            total,
            share if total else 0.0,
            "",
            unset=round(total * _fraction(unset, sampled)),
            exact=False,
            bytes=round(size * share),
            held=round(total * _fraction(held, sampled)),
        )

    def oldest(self, column: str, before: datetime) -> datetime | None:
        """The oldest row that is due, if an index tells; else None."""
        statement = compose.SQL(sql.get("plan/oldest")).format(
            table=self._table.identifier, column=doomed(column), cutoff=compose.Literal(before)
        )
        rows = self._within(OLDEST_SECONDS, statement)
        moment: datetime | None = rows[0][0] if rows else None
        return moment if moment is not None and moment.year > 1 else None

    def completed(self, rule: policy.Retention | policy.Orphans, counted: Planned) -> Planned:
        """What was counted, with what else there is to know of the policy and its table."""
        rate = self._rate(rule)
        return replace(
            counted,
            policy=rule.name,
            dead_tuples=catalog.dead_tuples(self._connection, self._table),
            seconds=counted.eligible / rate if rate else None,
            cascades=references.cascades(self._connection, self._table),
            problems=references.problems(self._connection, self._table),
        )

    def _tally(self, rows: Iterable[tuple[Any, ...]]) -> Planned:
        sizes = self._sizes()
        totals: dict[int, int] = {}
        fates: dict[tuple[int, str], int] = {}
        oldest, newest, oldest_row = None, None, None
        for heap, fate, count, first, last in rows:
            totals[heap] = totals.get(heap, 0) + count
            fates[heap, fate] = count
            if first is not None and fate == "goes":
                oldest, newest = min(oldest or first, first), max(newest or last, last)
            if first is not None:
                oldest_row = min(oldest_row or first, first)
        going = {heap: fates.get((heap, "goes"), 0) for heap in totals}
        eligible, total = sum(going.values()), sum(totals.values())
        return Planned(
            "",
            eligible,
            total,
            _fraction(eligible, total),
            "",
            unset=_of(fates, "unset"),
            oldest=oldest,
            newest=newest,
            oldest_row=oldest_row,
            bytes=round(sum(sizes[heap][1] * _fraction(goes, totals[heap]) for heap, goes in going.items())),
            held=_of(fates, "held"),
            referenced=_of(fates, "referenced"),
            partitions=tuple(
                Share(sizes[heap][0], goes, totals[heap])
                for heap, goes in sorted(going.items(), key=lambda each: sizes[each[0]][0])
                if goes > 0 and heap != self._table.oid
            ),
        )

    def _within(self, seconds: float, statement: compose.Composed) -> list[tuple[Any, ...]] | None:
        began = time.monotonic()
        try:
            with self._connection.transaction():
                limit = {"milliseconds": str(max(1, round(seconds * 1000)))}
                self._connection.execute(sql.get("plan/limit"), limit)
                return self._connection.execute(statement).fetchall()
        except psycopg.errors.QueryCanceled:
            # An operator's cancel has the same SQLSTATE; it comes before the time is over.
            if time.monotonic() - began < seconds:
                raise
            return None

    def _sample(self, total: int) -> tuple[int, ...] | None:
        sample = compose.SQL("{} AS doomed TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(
            self._table.identifier, compose.Literal(min(100.0, 100.0 * SAMPLE_ROWS / max(1, total)))
        )
        statement = compose.SQL(sql.get("plan/sample")).format(
            sample=sample,
            due=self._due,
            unheld=self._unheld,
            unreferenced=self._unreferenced,
            unset=self._unset,
        )
        rows = self._within(SAMPLE_SECONDS, statement)
        return None if rows is None else rows[0]

    def _sizes(self) -> dict[int, tuple[str, int]]:
        rows = self._connection.execute(sql.get("plan/sizes"), {"oid": self._table.oid})
        return {oid: (name, size) for oid, name, size in rows}

    def _rate(self, rule: policy.Policy) -> float | None:
        if not self._migrated:
            return None
        found = self._connection.execute(sql.get("plan/rate"), {"policy": rule.name}).fetchone()
        return None if found is None else float(found[0])


def _of(fates: Mapping[tuple[int, str], int], wanted: str) -> int:
    return sum(count for (_, fate), count in fates.items() if fate == wanted)


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
