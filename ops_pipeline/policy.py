"""`policies.yaml` read into typed policies. A wrong file is one clear error, before anything runs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from ops_pipeline.policy_file import (
    DatabaseSection,
    GuardSection,
    OrphansRule,
    Place,
    PolicyError,
    ScheduleSection,
    VacuumRule,
    read,
    referenced,
)


@dataclass(frozen=True, slots=True)
class Throttle:
    """While the database is beyond one of these, maintenance pauses; None: that is no reason to.

    `replica_lag`: how far the slowest standby is behind. `lock_queue`: sessions that wait for a lock.
    `active_sessions`: sessions besides ours that are at work. `wal_rate`: bytes of WAL a second, everybody's.
    """

    replica_lag: timedelta | None
    lock_queue: int | None
    active_sessions: int | None
    wal_rate: int | None


AHEAD = timedelta(days=14)
"""How far ahead the partitions of days are created where a policy does not say."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a run may remove without asking: at most that fraction of the table's rows, and so many rows."""

    max_fraction: float = 0.5
    max_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows of `table` whose `column` is older than `keep` are removed; `archive`: and archived first.

    `ahead`: how many days before it is needed the partition of a day is created, where days are partitions.
    """

    database: str
    table: str
    column: str
    keep: timedelta
    partition: Literal["day"] | None
    ahead: timedelta
    archive: bool
    guard: Guard
    throttle: Throttle
    place: Place = field(compare=False, repr=False)

    kind: ClassVar[str] = "retention"

    @property
    def name(self) -> str:
        return f"{self.database}/retention/{self.table}"


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows of `table` whose `columns` name no row of `parent` by its `parent_columns` are removed.

    None goes before it has been without a parent for the `grace`. A NULL names none to miss, unless
    `null_is_orphan`. `track`: the parent records the keys it loses, and only their children are looked at.
    """

    database: str
    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    grace: timedelta
    null_is_orphan: bool
    track: bool
    archive: bool
    guard: Guard
    throttle: Throttle
    place: Place = field(compare=False, repr=False)

    kind: ClassVar[str] = "orphans"

    @property
    def name(self) -> str:
        return f"{self.database}/orphans/{self.table}"

    @property
    def reference(self) -> str:
        """The referring columns, for a sentence."""
        return ", ".join(self.columns)


@dataclass(frozen=True, slots=True)
class Reindex:
    """B-trees of at least `min_size` bytes, of which the share `bloat` is wasted, are built anew."""

    bloat: float
    min_size: int


@dataclass(frozen=True, slots=True)
class Vacuum:
    """VACUUM, with ANALYZE where asked, of the named tables or of all.

    `mode`: those that need it, or everything. `parallel`: workers for indexes, None as the server
    decides. `buffer_usage_limit`: a size as PostgreSQL reads it, from version 16. `cost_delay`:
    milliseconds that VACUUM rests for each `vacuum_cost_limit` of work. `reindex`: which indexes are built
    anew after it, None is no index; `throttle` is what that waits for, and VACUUM does not.
    """

    database: str
    tables: Literal["all"] | tuple[str, ...]
    mode: Literal["needed", "everything"]
    analyze: bool
    truncate: bool
    index_cleanup: Literal["auto", "on", "off"]
    parallel: int | None
    buffer_usage_limit: str | None
    cost_delay: float
    reindex: Reindex | None
    throttle: Throttle
    place: Place = field(compare=False, repr=False)

    kind: ClassVar[str] = "vacuum"

    @property
    def name(self) -> str:
        return f"{self.database}/vacuum"


Policy = Retention | Orphans | Vacuum


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the night is: five cron fields, read in that time zone."""

    cron: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Database:
    """A database and its policies in the order of a night: retention, orphans, VACUUM."""

    name: str
    url_template: str = field(repr=False)
    schedule: Schedule
    policies: tuple[Policy, ...]
    place: Place = field(compare=False, repr=False)

    def url(self, environment: Mapping[str, str]) -> str:
        """The URL with each `${NAME}` replaced from the environment.

        Raises PolicyError when a variable is not set.
        """

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in environment:
                raise PolicyError([self.place.problem("url", f"the environment variable {name} is not set")])
            return environment[name]

        return re.sub(r"\$\{(\w+)\}", value, self.url_template)


@dataclass(frozen=True, slots=True)
class Policies:
    """The whole file."""

    databases: tuple[Database, ...]

    def __iter__(self) -> Iterator[tuple[Database, Policy]]:
        for database in self.databases:
            for policy in database.policies:
                yield database, policy


def load(path: Path) -> Policies:
    """The policies in that file.

    Raises PolicyError with every problem found, each by file, line, key, and what would be right.
    """
    content, source = read(path)
    return Policies(
        tuple(
            _database(name, model, model.schedule or content.schedule, Place(source, ("databases", name)))
            for name, model in content.databases.items()
        )
    )


def _database(name: str, model: DatabaseSection, night: ScheduleSection, place: Place) -> Database:
    throttle = Throttle(**dict(model.throttle))
    policies: list[Policy] = [
        Retention(
            database=name,
            table=rule.table,
            column=rule.column,
            keep=rule.keep,
            partition=rule.partition,
            ahead=rule.ahead or AHEAD,
            archive=rule.archive,
            guard=_guard(model.guard, rule.guard),
            throttle=throttle,
            place=place / "retention" / index,
        )
        for index, rule in enumerate(model.retention)
    ]
    policies += _parents_first(
        [
            _orphans(name, rule, _guard(model.guard, rule.guard), throttle, place / "orphans" / index)
            for index, rule in enumerate(model.orphans)
        ]
    )
    if model.vacuum is not None:
        policies.append(_vacuum(name, model.vacuum, throttle, place / "vacuum"))
    _refuse_repeats(policies)
    schedule = Schedule(night.cron, night.timezone)
    return Database(name, model.url, schedule, tuple(policies), place)


def _guard(of_database: GuardSection, of_rule: GuardSection) -> Guard:
    """What is said nearest to the rule holds, key by key."""
    return Guard(**(of_database.model_dump(exclude_unset=True) | of_rule.model_dump(exclude_unset=True)))


def _orphans(database: str, rule: OrphansRule, guard: Guard, throttle: Throttle, place: Place) -> Orphans:
    parent, parent_columns = referenced(rule.references)
    return Orphans(
        database,
        rule.table,
        rule.columns or (str(rule.column),),
        parent,
        parent_columns,
        rule.grace,
        rule.null_is_orphan,
        rule.track,
        rule.archive,
        guard,
        throttle,
        place,
    )


def _parents_first(rules: list[Orphans]) -> list[Orphans]:
    """In an order in which each table comes after those it refers to, as far as there is one.

    Where a chain a → b → c loses rows of a, b's follow in the same night, and then c's.
    """
    ordered: list[Orphans] = []
    waiting = list(rules)
    while waiting:
        removing = {_bare(rule.table) for rule in waiting}
        free = [rule for rule in waiting if _bare(rule.parent) not in removing - {_bare(rule.table)}]
        ordered += free or waiting[:1]  # tables that refer to each other in a circle: as they stand
        waiting = [rule for rule in waiting if rule not in ordered]
    return ordered


def of_parent(rule: Orphans, rules: Sequence[Policy]) -> list[Orphans]:
    """The orphans policies before it that remove rows of its parent."""
    return [
        each
        for each in rules[: rules.index(rule)]
        if isinstance(each, Orphans) and _bare(each.table) == _bare(rule.parent)
    ]


def _bare(table: str) -> str:
    return table.removeprefix("public.")


def _vacuum(database: str, rule: VacuumRule, throttle: Throttle, place: Place) -> Vacuum:
    return Vacuum(
        database,
        tables=rule.tables,
        mode=rule.mode,
        analyze=rule.analyze,
        truncate=rule.truncate,
        index_cleanup=rule.index_cleanup,
        parallel=rule.parallel,
        buffer_usage_limit=rule.buffer_usage_limit,
        cost_delay=rule.cost_delay or 0.0,
        reindex=Reindex(**dict(rule.reindex)) if rule.reindex is not None else None,
        throttle=throttle,
        place=place,
    )


def _refuse_repeats(policies: list[Policy]) -> None:
    seen: dict[str, Policy] = {}
    for policy in policies:
        first = seen.setdefault(policy.name, policy)
        if first is not policy:
            raise PolicyError(
                [policy.place.problem("table", f"{policy.name} stands here twice; keep one of them")]
            )
