"""The policies of a file, typed. What is special about a kind of policy is in that kind's folder."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from ops_pipeline.credentials import with_source
from ops_pipeline.policies.file import Place, PolicyError
from ops_pipeline.policies.identity import Identity
from ops_pipeline.postgres.relation import TableName


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """While the database is beyond one of these, maintenance pauses; None: that is no reason to.

    `replica_lag`: how far the slowest standby is behind. `lock_queue`: sessions that wait for a lock.
    `active_sessions`: sessions besides ours that are at work. `wal_rate`: bytes of WAL a second, everybody's.
    `most_blocks`, `most_rows`: the largest batch of a scan by blocks or by rows; no keys of the file.
    """

    replica_lag: timedelta | None
    lock_queue: int | None
    active_sessions: int | None
    wal_rate: int | None
    most_blocks: int | None = None
    most_rows: int | None = None


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """What a run may delete without approval: that fraction of the table's rows, and so many rows."""

    max_fraction: float = 0.5
    max_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy of the file. `place`: where it stands there, for messages."""

    identity: Identity
    throttle: ThrottleLimits
    place: Place = field(compare=False, repr=False)

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """The policy's label, by which history, locks and people know it."""
        return self.identity.label

    @property
    def database(self) -> str:
        """The database as the file calls it."""
        return self.identity.database

    def partitioned_by_day(self) -> TableName | None:
        """The table whose partitions, one a day, the policy premakes and drops, if it does."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletingPolicy(Policy):
    """A policy that deletes rows of one table; with `archive` they are archived first.

    `cascade`: what becomes of rows that ON DELETE CASCADE deletes along; None: the policy is refused where
    they are another policy's, or would be missing from its archive. `deleting`: the policies of the database
    that delete rows, this one among them.
    `selects`: the fields that decide which rows of the table those are; with another value the policy is
    another one to the guard, by which an approval is void. A field that is not among them may change freely.
    """

    table: TableName
    archive: bool
    guard: GuardLimits
    cascade: Literal["archive", "delete"] | None = None
    deleting: "tuple[DeletingPolicy, ...]" = field(default=(), compare=False, repr=False)

    selects: ClassVar[tuple[str, ...]]

    def max_age(self) -> timedelta | None:
        """How old rows become before they are deleted; None where age does not decide."""
        return None

    def reference_columns(self) -> tuple[str, ...]:
        """The columns that refer to a parent; archived rows are looked up by them as by their keys."""
        return ()

    def time_column(self) -> str | None:
        """The column whose day rows are archived under; None: the day on which they are deleted."""
        return None


P = TypeVar("P", bound=Policy)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the nightly run starts: five cron fields, read in that time zone."""

    cron: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Database:
    """A database and its policies, in the order in which a run carries them out.

    `password_command`, `password_file`: from where each connection takes its password.
    """

    name: str
    url_template: str = field(repr=False)
    schedule: Schedule
    policies: tuple[Policy, ...]
    place: Place = field(compare=False, repr=False)
    password_command: str | None = field(default=None, repr=False)
    password_file: Path | None = None

    def url(self, environment: Mapping[str, str]) -> str:
        """The URL with each `${NAME}` replaced from the environment, and from where its password comes.

        Raises PolicyError when a variable is not set.
        """

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in environment:
                raise PolicyError([self.place.problem("url", f"the environment variable {name} is not set")])
            return environment[name]

        url = re.sub(r"\$\{(\w+)\}", value, self.url_template)
        return with_source(url, command=self.password_command, file=self.password_file)


@dataclass(frozen=True, slots=True)
class Policies:
    """The whole file."""

    databases: tuple[Database, ...]

    def of_type(self, wanted: type[P]) -> Iterator[tuple[Database, P]]:
        """The policies of one kind, each with its database."""
        for database, policy in self:
            if isinstance(policy, wanted):
                yield database, policy

    def __iter__(self) -> Iterator[tuple[Database, Policy]]:
        for database in self.databases:
            for policy in database.policies:
                yield database, policy
