"""Advice on autovacuum settings for tables where it cannot keep up. Only printed, never applied.

Autovacuum vacuums a table once its dead rows reach a threshold plus a share of its rows, and sleeps whenever
a cost limit is reached (PostgreSQL's documentation, "The Autovacuum Daemon" and "Cost-based Vacuum Delay").
The rate of dead rows is what was counted since an earlier run of the policy, without what we deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql as compose

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.plan import is_migrated
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled

LEAST_PERIOD = timedelta(hours=1)
"""Over a shorter time a burst would be mistaken for the usual rate."""
LEAST_COUNTED = 1000
"""The counters of tables with fewer dead rows since statistics began are not recorded in the history."""
MOST_COUNTED = 500
MANY = 100_000
"""With this many dead, or changed, rows a day, autovacuum should not wait for weeks."""
SELDOM = timedelta(days=7)
PAGE_READ = 2
PAGE_WRITTEN = 20
"""The documented defaults of `vacuum_cost_page_miss` and `vacuum_cost_page_dirty`."""
HIGHEST_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Advice:
    """A statement that a table's owner may want to run, and why."""

    table: str
    reason: str
    statement: str


@dataclass(frozen=True, slots=True)
class Writes:
    """A table as autovacuum sees it, with the settings that apply to it.

    `root`: the oid of the partitioned table it belongs to, or its own. `died`, `written`: rows since the
    counters began, HOT updates not counted as dead; `visits`: by any VACUUM. `trigger`, `analyze_trigger`:
    how many dead or changed rows make autovacuum start. `delay`: milliseconds of sleep for each `limit` of
    cost.
    """

    relation: Relation
    root: int
    enabled: bool
    rows: float
    dead: int
    died: int
    written: int
    visits: int
    threshold: int
    scale: float
    trigger: float
    analyze_trigger: float
    delay: float
    limit: int
    pages: int
    index_pages: int

    @property
    def pass_seconds(self) -> float:
        """How many seconds autovacuum takes for the table, sleeps included, if nothing is cached."""
        read = self.pages + self.index_pages
        written = min(self.pages, self.trigger) + min(self.index_pages, self.trigger)
        return (read * PAGE_READ + written * PAGE_WRITTEN) / self.limit * self.delay / 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """Rows that died in a table, rows written to it, and how often it was vacuumed, within `period`."""

    died: int
    written: int
    visits: int
    period: timedelta

    def time_for(self, count: float, rows: int) -> timedelta | None:
        """How long it takes until `count` rows have accumulated, at `rows` in the period."""
        seconds = count / rows * self.period.total_seconds() if rows > 0 else None
        return timedelta(seconds=seconds) if seconds is not None and seconds < 1e9 else None


@dataclass(frozen=True, slots=True)
class WriteCounters:
    """The counters at one time, for the run's details. `by_oid`: of each table."""

    at: datetime
    by_oid: Mapping[int, tuple[int, int, int]]

    def as_json(self) -> dict[str, Any]:
        """The counters as stored in the run's details."""
        return {
            "at": self.at.isoformat(),
            "by_oid": {str(oid): list(counters) for oid, counters in self.by_oid.items()},
        }


def find_advice(
    connection: Connection, policy: Vacuum, tables: Sequence[Table]
) -> tuple[list[Advice], WriteCounters]:
    """The advice for those tables, and the counters for the next run."""
    oids = [table.oid for table in tables if not table.parent and not table.system]
    written = [
        Writes(Relation(*row[:3]), *row[3:])
        for row in connection.execute(sql.get("maintenance/vacuum/autovacuum"), {"oids": oids})
    ]
    now = scalar(connection, sql.get("maintenance/vacuum/clock"))
    most_died = sorted(written, key=lambda writes: writes.died, reverse=True)[:MOST_COUNTED]
    counters = WriteCounters(
        now,
        {
            writes.relation.oid: (writes.died, writes.written, writes.visits)
            for writes in most_died
            if writes.died >= LEAST_COUNTED
        },
    )
    if not scalar(connection, sql.get("maintenance/vacuum/autovacuum_is_on")):
        reason = (
            "autovacuum is off on this server, for every table. As a superuser, or at a cloud provider in "
            "the instance's parameters"
        )
        statement = "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();"
        return [Advice("all tables", reason, statement)], counters
    migrated = is_migrated(connection)
    rates = _rates(connection, policy, written, now) if migrated else {}
    advised = (advise_table(connection, writes, rates.get(writes.relation.oid)) for writes in written)
    return [advice for advice in advised if advice is not None], counters


def advise_table(connection: Connection, writes: Writes, rate: Rate | None) -> Advice | None:
    """The advice for one table; None when its settings are fine. Without a rate, only whether it is off."""
    setting = next(_settings(writes, rate), None)
    if setting is None:
        return None
    statement = compose.SQL(sql.get("maintenance/vacuum/advise")).format(
        table=writes.relation.identifier,
        option=compose.SQL(setting.option),
        value=compose.Literal(setting.value),
    )
    return Advice(str(writes.relation), setting.reason, spelled(statement, connection).splitlines()[-1])


@dataclass(frozen=True, slots=True)
class _Setting:
    option: LiteralString
    value: float | bool
    reason: str


def _settings(writes: Writes, rate: Rate | None) -> Iterator[_Setting]:
    """What to set, the most urgent first."""
    if not writes.enabled:
        yield from _switched_off(writes)
    elif rate is not None:
        yield from _too_slow(writes, rate)
        yield from _overdue(writes, rate)
        yield from _too_seldom(writes, rate)
        yield from _stale(writes, rate)


def _switched_off(writes: Writes) -> Iterator[_Setting]:
    if writes.dead >= writes.trigger:
        reason = (
            f"autovacuum is off for this table, which has {writes.dead:,} dead rows; it would have started "
            f"at {writes.trigger:,.0f}"
        )
        yield _Setting("autovacuum_enabled", True, reason)


def _too_slow(writes: Writes, rate: Rate) -> Iterator[_Setting]:
    every = rate.time_for(writes.trigger, rate.died)
    if every is None or writes.pass_seconds <= every.total_seconds() / 2:
        return
    reason = (
        f"{rate.died:,} dead rows in {_duration(rate.period)} make autovacuum due every {_duration(every)}, "
        f"but with a cost delay of {writes.delay:g} ms for each {writes.limit:,} of cost one pass takes "
        f"about {_duration(timedelta(seconds=writes.pass_seconds))}"
    )
    wanted = writes.limit * writes.pass_seconds / (every.total_seconds() / 4)
    if wanted <= HIGHEST_LIMIT:
        yield _Setting("autovacuum_vacuum_cost_limit", round(wanted), reason)
    else:
        yield _Setting("autovacuum_vacuum_cost_delay", 0, reason)


def _overdue(writes: Writes, rate: Rate) -> Iterator[_Setting]:
    due = rate.died / writes.trigger
    if due < 4 or rate.visits >= due / 4 or writes.dead < 2 * writes.trigger or writes.delay == 0:
        return
    reason = (
        f"{rate.died:,} dead rows in {_duration(rate.period)} are enough for {due:,.0f} autovacuums; the "
        f"table was vacuumed {counted(rate.visits, 'time')} and has {writes.dead:,} dead rows, "
        f"{writes.dead / writes.trigger:,.1f} times the threshold of autovacuum. Without a cost delay a "
        "worker is free again sooner; if that does not help, autovacuum_max_workers is too small"
    )
    yield _Setting("autovacuum_vacuum_cost_delay", 0, reason)


def _too_seldom(writes: Writes, rate: Rate) -> Iterator[_Setting]:
    for a_day, every in _seldom(rate, rate.died, writes.trigger):
        reason = (
            f"the table gets about {a_day:,.0f} dead rows a day, but autovacuum waits for "
            f"{writes.trigger:,.0f}: it runs every {_duration(every)}. With this setting it runs about daily"
        )
        share = _share(a_day - writes.threshold, writes.rows)
        yield _Setting("autovacuum_vacuum_scale_factor", share, reason)


def _stale(writes: Writes, rate: Rate) -> Iterator[_Setting]:
    for a_day, every in _seldom(rate, rate.written, writes.analyze_trigger):
        reason = (
            f"about {a_day:,.0f} rows a day are written to the table, but autovacuum analyzes it only after "
            f"{writes.analyze_trigger:,.0f}: every {_duration(every)}. With this setting it does so about "
            "daily"
        )
        yield _Setting("autovacuum_analyze_scale_factor", _share(a_day, writes.rows), reason)


def _seldom(rate: Rate, rows: int, trigger: float) -> Iterator[tuple[float, timedelta]]:
    """How many rows a day there are, and how long until they start autovacuum, where that is too long."""
    every = rate.time_for(trigger, rows)
    a_day = rows / (rate.period / timedelta(days=1))
    if every is not None and every > SELDOM and a_day >= MANY:
        yield a_day, every


def _share(part: float, whole: float) -> float:
    return max(0.0001, round(part / whole, 4)) if whole else 0.0001


def _rates(
    connection: Connection, policy: Vacuum, written: Sequence[Writes], now: datetime
) -> dict[int, Rate]:
    """By table's oid; empty when no earlier run has recorded counters."""
    values = {"policy": policy.name, "before": now - LEAST_PERIOD}
    before = connection.execute(sql.get("maintenance/vacuum/counted_before"), values).fetchone()
    if before is None:
        return {}
    at, counters = before
    ours = _removed_by_us(connection, at)
    rates: dict[int, Rate] = {}
    for writes in written:
        died, rows, visits = counters.get(str(writes.relation.oid), (0, 0, 0))
        if writes.died < died or writes.visits < visits:
            continue  # the counters were reset meanwhile
        by_us = sum(ours.get(oid, 0) for oid in {writes.root, writes.relation.oid})
        rates[writes.relation.oid] = Rate(
            died=max(0, writes.died - died - by_us),
            written=max(0, writes.written - rows - by_us),
            visits=writes.visits - visits,
            period=now - at,
        )
    return rates


def _removed_by_us(connection: Connection, since: datetime) -> dict[int, int]:
    """Rows that policies have deleted, by the oid of their table."""
    rows = connection.execute(sql.get("maintenance/vacuum/removed_since"), {"since": since})
    return dict(rows.fetchall())


def _duration(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"
