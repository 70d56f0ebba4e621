"""The types of a plan: what a run of a policy would do, as every kind of policy describes it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.counted import counted
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.snapshot import snapshot

LIMIT_SECONDS = 30.0
"""How long the rows of one policy are counted before they are estimated instead."""
RUN_LIMIT_SECONDS = 60.0
"""The same for a run, which is about to delete them."""


@dataclass(frozen=True, slots=True)
class PartitionCount:
    """How many rows of one partition would be deleted."""

    partition: Relation
    eligible: int
    total: int


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows of a table a policy would delete, and why it keeps others.

    `eligible` of `total` would be deleted, about `bytes` of the table with its indexes. Not among them:
    expired or orphaned rows on hold (`on_hold`), those that kept rows refer to (`referenced`), and rows whose
    time or reference is NULL, or whose time is infinite (`null`). `oldest`, `newest`: of the eligible rows;
    `oldest_row`: of all. With `exact` false all numbers are estimated from a sample; with `total_exact`
    false the eligible rows were counted, and `total` is PostgreSQL's own estimate. `partitions`: the
    partitions that would lose rows.
    """

    eligible: int
    total: int
    exact: bool = True
    total_exact: bool = True
    bytes: int = 0
    on_hold: int = 0
    referenced: int = 0
    null: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    oldest_row: datetime | None = None
    partitions: tuple[PartitionCount, ...] = ()

    @property
    def fraction(self) -> float:
        """The share of the table's rows that would be deleted."""
        return fraction(self.eligible, self.total)

    @property
    def row_bytes(self) -> float:
        """About how many bytes of the table and its indexes an eligible row takes."""
        return self.bytes / max(1, self.eligible)


@dataclass(frozen=True, slots=True)
class Method:
    """How the rows or tables are found, and why in this way."""

    name: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class CascadedRows:
    """Rows of another table that foreign keys (`keys`) delete or change when a policy's rows are deleted.

    `action`: what happens to them. `rows` of `total`; None where they could not be counted in time.
    `table_bytes`: of the whole table with its indexes. `archived`: they are archived first.
    """

    table: Relation
    action: Literal["deleted", "set to NULL", "set to default"]
    keys: tuple[str, ...]
    rows: int | None
    total: int
    table_bytes: int
    archived: bool = False

    @property
    def most(self) -> int:
        """The rows, or all of the table's where they could not be counted."""
        return self.total if self.rows is None else self.rows

    @property
    def bytes(self) -> int:
        """About how many bytes of the table and its indexes they take."""
        return round(self.table_bytes * fraction(self.most, self.total))

    def __str__(self) -> str:
        number = "an unknown number of rows" if self.rows is None else counted(self.rows, "row")
        archived = "archived and deleted" if self.archived else self.action
        return (
            f"{number} of {self.table} "
            f"{'is' if self.rows == 1 else 'are'} also {archived} ({', '.join(self.keys)})"
        )


def deleted_by_cascade(cascaded: Iterable[CascadedRows]) -> int:
    """How many rows of other tables are deleted, at most."""
    return sum(rows.most for rows in cascaded if rows.action == "deleted")


Cells = Mapping[str, str | int | float]
"""A row of a table for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run of one policy would do. Each kind adds its own.

    `rows`: what it would delete; None for a kind that deletes no rows. `seconds`: how long it would take at
    the rate of the policy's last run; None where that is unknown. `dead_tuples`: dead row versions that wait
    for VACUUM. `refusals`: why the policy cannot run as it is written; nothing would be tried.
    `needs_approval`: why the guard would stop it. `advice`: what would make it cheaper. `observe`: the policy
    is observed only, so that a run records the plan and does none of it.
    """

    policy: str
    method: Method
    observe: bool = False
    rows: RowCount | None = None
    seconds: float | None = None
    dead_tuples: int = 0
    refusals: tuple[str, ...] = ()
    needs_approval: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    def remarks(self) -> Iterator[str]:
        """What a person should know beyond the numbers, a line each."""
        if self.observe:
            yield "observed only (mode: observe): a run records this plan and changes nothing"
        yield from (f"refused: {reason}" for reason in self.refusals)
        yield from self.explanations()
        yield from self.advice
        for reason in self.needs_approval:
            yield f"{'would need' if self.observe else 'needs'} approval: {reason}"

    @property
    def stopped_by_guard(self) -> bool:
        """Whether a run would wait for a person's approval."""
        return bool(self.needs_approval) and not self.observe

    def would(self) -> str:
        """What a run would do, for a sentence that begins with the policy."""
        if self.rows is None:
            return f"would run {self.method.name}"
        about = "" if self.rows.exact else "about "
        return (
            f"would delete {about}{self.rows.eligible:,} of {about}{self.rows.total:,} rows "
            f"({self.rows.fraction:.1%})"
        )

    def explanations(self) -> Iterator[str]:
        """What only this kind of plan explains, a line each."""
        return iter(())

    def skips(self) -> Iterator[str]:
        """What a run would leave alone, and why, a line each."""
        return iter(())

    def tables(self) -> Mapping[str, Sequence[Cells]]:
        """What is shown as tables, by title."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePlan(Plan):
    """What a policy that deletes rows would do.

    `cutoff`: rows before that time are expired; None where time does not decide. `cascaded`: the rows of
    other tables that foreign keys also delete or change. `rows_deletable_later`: how many of its rows can
    only be deleted once the policies `after` have run, which delete the rows that refer to them, or their
    parents.
    """

    rows: RowCount
    cutoff: datetime | None = None
    cascaded: tuple[CascadedRows, ...] = ()
    rows_deletable_later: int = 0
    after: tuple[str, ...] = ()

    def explanations(self) -> Iterator[str]:
        rows = self.rows
        if self.rows_deletable_later:
            yield self.later()
        if not rows.exact:
            yield "counting took too long; numbers marked with ~ are estimated from a sample of the rows"
        if self.method.why and rows.eligible:
            yield f"{self.method.name}, because {self.method.why}"
        if rows.on_hold:
            yield f"{counted(rows.on_hold, 'row is', 'rows are')} kept because of a hold (opsctl hold list)"
        if rows.referenced:
            kept = counted(rows.referenced, "row is", "rows are")
            yield f"{kept} kept because other rows refer to {'it' if rows.referenced == 1 else 'them'}"
        yield from map(str, self.cascaded)
        if rows.partitions:
            yield f"{counted(len(rows.partitions), 'partition')} would lose rows"

    def later(self) -> str:
        """What it says about the rows `rows_deletable_later`."""
        return f"{self.rows_deletable_later:,} of the rows can only be deleted once {self.once_run()}"

    def once_run(self) -> str:
        """That the policies `after` have run."""
        return f"{', '.join(self.after)} {'has' if len(self.after) == 1 else 'have'} run"


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A policy that cannot be planned now, and the `problem`. The other policies are still planned."""

    policy: str
    problem: str


def utc_now() -> datetime:
    """The time of this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class PlannedDeletion:
    """Rows of `table` that a policy would delete: those that meet `condition`, over the alias `target`."""

    policy: str
    table: Relation
    condition: compose.Composable
    rows: int

    def leaves(self, alias: str) -> compose.Composed:
        """SQL that is true for rows of that alias, in its table, that it does not delete."""
        # OFFSET 0 keeps the subquery separate, so each row is found by its ctid. Without it PostgreSQL would
        # join whole tables where these are nested.
        return compose.SQL(
            "NOT EXISTS (SELECT FROM {} AS target WHERE (target.tableoid, target.ctid) = ({}, {}) AND {} "
            "OFFSET 0)"
        ).format(
            self.table.identifier,
            compose.Identifier(alias, "tableoid"),
            compose.Identifier(alias, "ctid"),
            self.condition,
        )


@dataclass(frozen=True, slots=True)
class Planning:
    """What a plan is made with.

    `before`: what the policies before it would delete in the same run; each plan adds its own deletion.
    `archive_url`: OPS_ARCHIVE_URL. `limit_seconds`: how long rows are counted before a sample is taken.
    `after_deletes`: many rows of the table have just been deleted, so they are counted without index-only
    scans. `clock`: this machine's, which the guard compares with the database's. The connection is in
    autocommit mode and in no transaction.
    """

    connection: Connection
    limit_seconds: float = LIMIT_SECONDS
    archive_url: str | None = None
    after_deletes: bool = False
    clock: Callable[[], datetime] = utc_now
    before: list[PlannedDeletion] = field(default_factory=list)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read-only transaction with one snapshot for everything that is counted."""
        with snapshot(self.connection):
            self.connection.execute(sql.get("maintenance/one_processor"))
            if self.after_deletes:
                self.connection.execute(sql.get("maintenance/unindexed"))
            yield self.connection


def is_migrated(connection: Connection) -> bool:
    """Whether `opsctl migrate` has created our tables; commands that only read work without them."""
    return bool(scalar(connection, sql.get("postgres/migrated")))


def fraction(part: int, whole: int) -> float:
    """The share of the whole; 0.0 where the whole is 0."""
    return part / whole if whole else 0.0
