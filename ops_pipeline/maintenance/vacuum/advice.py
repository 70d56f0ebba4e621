"""Advice on autovacuum: tables whose settings cannot keep up with what dies in them. Never applied by us.

Autovacuum comes to a table once its dead rows reach a threshold plus a share of its rows, and rests whenever
a budget of work is spent (PostgreSQL's documentation, "The Autovacuum Daemon" and "Cost-based Vacuum Delay").
How fast rows die is what was counted since an earlier run of the policy, less what we removed ourselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.plan import is_migrated
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation

LEAST_PERIOD = timedelta(hours=1)
"""Over a shorter time a burst would be taken for the usual."""
LEAST_COUNTED = 1000
"""Tables in which fewer rows have ever died are not kept in the history."""
MOST_COUNTED = 500
MANY = 100_000
"""So many dead, or changed, rows a day should not wait for weeks."""
SELDOM = timedelta(days=7)
PAGE_READ = 2
PAGE_WRITTEN = 20
"""What the documentation says `vacuum_cost_page_miss` and `vacuum_cost_page_dirty` are."""
HIGHEST_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Advice:
    """What a table's owner might run, and why."""

    table: str
    reason: str
    statement: str


@dataclass(frozen=True, slots=True)
class Writes:
    """A table as autovacuum sees it, with the settings that hold for it.

    `root`: the oid of the partitioned table it belongs to, or its own. `died`, `written`: rows since the
    counters began, of the dead those left out that an update could replace in their page; `visits`: by any
    VACUUM. `trigger`, `analyze_trigger`: how many dead or changed rows bring autovacuum. `delay`:
    milliseconds of rest for each `limit` of work.
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
        """How long autovacuum takes for the table, rests included, once it is due and nothing is cached."""
        read = self.pages + self.index_pages
        written = min(self.pages, self.trigger) + min(self.index_pages, self.trigger)
        return (read * PAGE_READ + written * PAGE_WRITTEN) / self.limit * self.delay / 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """What has died in a table, been written to it, and how often it was vacuumed, in a time."""

    died: int
    written: int
    visits: int
    period: timedelta

    def time_for(self, count: float, rows: int) -> timedelta | None:
        """How long it takes until so many have come together, at that many rows in the period."""
        seconds = count / rows * self.period.total_seconds() if rows > 0 else None
        return timedelta(seconds=seconds) if seconds is not None and seconds < 1e9 else None


@dataclass(frozen=True, slots=True)
class WriteCounters:
    """The counters of a moment, to be kept in the run's details. `by_oid`: of each table."""

    at: datetime
    by_oid: Mapping[int, tuple[int, int, int]]

    def as_json(self) -> dict[str, Any]:
        """As the run's details keep them."""
        return {
            "at": self.at.isoformat(),
            "by_oid": {str(oid): list(counters) for oid, counters in self.by_oid.items()},
        }


def find_advice(
    connection: Connection, policy: Vacuum, tables: Sequence[Table]
) -> tuple[list[Advice], WriteCounters]:
    """The advice there is now on those tables, and the counters for the next time."""
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
        reason = "autovacuum is switched off on this server, for every table"
        return [Advice("all tables", reason, "ALTER SYSTEM SET autovacuum = on")], counters
    migrated = is_migrated(connection)
    rates = _rates(connection, policy, written, now) if migrated else {}
    advised = (advise_table(connection, writes, rates.get(writes.relation.oid)) for writes in written)
    return [advice for advice in advised if advice is not None], counters


def advise_table(connection: Connection, writes: Writes, rate: Rate | None) -> Advice | None:
    """The advice on one table, None when its settings will do. Without a rate only what shows at once."""
    setting = next(_settings(writes, rate), None)
    if setting is None:
        return None
    statement = compose.SQL(sql.get("maintenance/vacuum/advise")).format(
        table=writes.relation.identifier,
        option=compose.SQL(setting.option),
        value=compose.Literal(setting.value),
    )
    return Advice(str(writes.relation), setting.reason, statement.as_string(connection).splitlines()[-1])


@dataclass(frozen=True, slots=True)
class _Setting:
    option: LiteralString
    value: float | bool
    reason: str


def _settings(writes: Writes, rate: Rate | None) -> Iterator[_Setting]:
    """What to set, the most pressing first."""
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
            f"autovacuum is switched off for it, and {writes.dead:,} dead rows wait; it would have come at "
            f"{writes.trigger:,.0f}"
        )
        yield _Setting("autovacuum_enabled", True, reason)


def _too_slow(writes: Writes, rate: Rate) -> Iterator[_Setting]:
    every = rate.time_for(writes.trigger, rate.died)
    if every is None or writes.pass_seconds <= every.total_seconds() / 2:
        return
    reason = (
        f"{rate.died:,} rows have died in it within {_duration(rate.period)}, so autovacuum is due every "
        f"{_duration(every)}, but at {writes.delay:g} ms of rest for each {writes.limit:,} of work one pass "
        f"takes about {_duration(timedelta(seconds=writes.pass_seconds))}"
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
        f"{rate.died:,} rows have died in it within {_duration(rate.period)}, enough for {due:,.0f} visits; "
        f"it was vacuumed {rate.visits:,} times, and {writes.dead:,} dead rows wait, "
        f"{writes.dead / writes.trigger:,.1f} times what brings autovacuum. Without rests a worker is free "
        "again sooner; where that does not help, autovacuum_max_workers is too small"
    )
    yield _Setting("autovacuum_vacuum_cost_delay", 0, reason)


def _too_seldom(writes: Writes, rate: Rate) -> Iterator[_Setting]:
    for a_day, every in _seldom(rate, rate.died, writes.trigger):
        reason = (
            f"about {a_day:,.0f} rows die in it a day, but autovacuum waits for {writes.trigger:,.0f}: it "
            f"comes every {_duration(every)}. With this it comes about daily"
        )
        share = _share(a_day - writes.threshold, writes.rows)
        yield _Setting("autovacuum_vacuum_scale_factor", share, reason)


def _stale(writes: Writes, rate: Rate) -> Iterator[_Setting]:
    for a_day, every in _seldom(rate, rate.written, writes.analyze_trigger):
        reason = (
            f"about {a_day:,.0f} rows are written to it a day, but autovacuum renews its statistics only "
            f"after {writes.analyze_trigger:,.0f}: every {_duration(every)}. With this it does about daily"
        )
        yield _Setting("autovacuum_analyze_scale_factor", _share(a_day, writes.rows), reason)


def _seldom(rate: Rate, rows: int, trigger: float) -> Iterator[tuple[float, timedelta]]:
    """How many rows a day there are and how long they take to bring autovacuum, where that is too long."""
    every = rate.time_for(trigger, rows)
    a_day = rows / (rate.period / timedelta(days=1))
    if every is not None and every > SELDOM and a_day >= MANY:
        yield a_day, every


def _share(part: float, whole: float) -> float:
    return max(0.0001, round(part / whole, 4)) if whole else 0.0001


def _rates(
    connection: Connection, policy: Vacuum, written: Sequence[Writes], now: datetime
) -> dict[int, Rate]:
    """By table's oid; empty when no earlier run has counted."""
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
    """Rows that policies have removed, by the oid of their table."""
    rows = connection.execute(sql.get("maintenance/vacuum/removed_since"), {"since": since})
    return dict(rows.fetchall())


def _duration(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"
