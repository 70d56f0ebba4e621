"""The types of policies and databases. What is specific to a kind of policy is in that kind's folder."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from ops_pipeline.credentials import with_source
from ops_pipeline.policies.file import Place, PolicyError
from ops_pipeline.policies.identity import Identity
from ops_pipeline.postgres.relation import TableName


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """A run is throttled while the database exceeds one of these limits; None: no limit.

    `replica_lag`: the lag of the slowest standby. `lock_queue`: sessions waiting for a lock.
    `active_sessions`: active sessions other than ours. `wal_rate`: bytes of WAL a second, of all sessions.
    `most_blocks`, `most_rows`: the largest batch of a scan by blocks or by rows; not keys of the file.
    """

    replica_lag: timedelta | None
    lock_queue: int | None
    active_sessions: int | None
    wal_rate: int | None
    most_blocks: int | None = None
    most_rows: int | None = None


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """What a run may delete without approval: a fraction of the table's rows, and a number of rows."""

    max_fraction: float = 0.5
    max_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy of the file. `place`: its position in the file, for messages.

    `observe`: it is planned and recorded in each run, and changes nothing.
    `owners`: teams and e-mail addresses, `tags`: names with values; both are only shown and searched.
    """

    identity: Identity
    throttle: ThrottleLimits
    observe: bool = False
    place: Place = field(compare=False, repr=False)
    owners: tuple[str, ...] = field(default=(), compare=False)
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """The policy's label: its name in history, locks and messages."""
        return self.identity.label

    @property
    def database(self) -> str:
        """The database's name in the file."""
        return self.identity.database

    def partitioned_by_day(self) -> TableName | None:
        """The table whose daily partitions the policy premakes and drops, if any."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletingPolicy(Policy):
    """A policy that deletes rows of one table; with `archive` they are archived first.

    `cascade`: what happens to rows that ON DELETE CASCADE also deletes; None: the policy is refused when
    another policy keeps or archives them, or they would be missing from its own archive. `deleting`: all
    policies of the database that delete rows, including this one.
    `selects`: the fields that decide which rows are deleted. When one of them changes, the guard treats the
    policy as a new one, and approvals become void. Other fields may change freely.
    """

    table: TableName
    archive: bool
    guard: GuardLimits
    cascade: Literal["archive", "delete"] | None = None
    deleting: "tuple[DeletingPolicy, ...]" = field(default=(), compare=False, repr=False)

    selects: ClassVar[tuple[str, ...]]

    def written(self, definition: Mapping[str, Any]) -> Mapping[str, str]:
        """The keys of policies.yaml, besides durations, that select rows, as the file writes them.

        `definition` has the values of `selects`, of this policy or of a former state of it, as JSON.
        """
        raise NotImplementedError

    def max_age(self) -> timedelta | None:
        """The age at which rows are deleted; None when age does not decide."""
        return None

    def reference_columns(self) -> tuple[str, ...]:
        """The columns that refer to a parent; archived rows can be looked up by them, as by their keys."""
        return ()

    def time_column(self) -> str | None:
        """The column by whose day rows are archived; None: by the day on which they are deleted."""
        return None


P = TypeVar("P", bound=Policy)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the nightly run starts: five cron fields in that time zone."""

    cron: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Database:
    """A database and its policies, in the order of a run.

    `password_command`, `password_file`: where each connection gets its password from.
    """

    name: str
    url_template: str = field(repr=False)
    schedule: Schedule
    policies: tuple[Policy, ...]
    place: Place = field(compare=False, repr=False)
    password_command: str | None = field(default=None, repr=False)
    password_file: Path | None = None

    @property
    def job_name(self) -> str:
        """The name of its nightly job in Dagster, and of that job's schedule."""
        return f"nightly_{self.name}"

    @property
    def fingerprint(self) -> str:
        """Identifies these policies, with all their values: two processes with the same one do the same."""
        return sha256(repr(self).encode()).hexdigest()[:12]

    def url(self, environment: Mapping[str, str]) -> str:
        """The URL with each `${NAME}` replaced from the environment, and with its password's source.

        Raises PolicyError when a variable is not set.
        """

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in environment:
                raise PolicyError([self.place.problem("url", f"the environment variable {name} is not set")])
            return environment[name]

        url = re.sub(r"\$\{(\w+)\}", value, self.url_template)
        return with_source(url, command=self.password_command, file=self.password_file)

    @property
    def url_origin(self) -> str:
        """Where its URL comes from, for messages: the variables that it names, and its line in the file."""
        place = f"`url` in {self.place.source.path}:{(self.place / 'url').line}"
        variables = re.findall(r"\$\{(\w+)\}", self.url_template)
        return f"{', '.join(variables)} ({place})" if variables else place


@dataclass(frozen=True, slots=True)
class Policies:
    """All databases of the file, with their policies."""

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
