"""`policies.yaml` read into typed policies. A wrong file is one clear error, before anything runs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from ops_pipeline.policy_file import DatabaseSection, Place, PolicyError, read


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows of `table` whose `column` is older than `keep` are removed."""

    database: str
    table: str
    column: str
    keep: timedelta
    partition: Literal["day"] | None
    place: Place = field(compare=False, repr=False)

    kind: ClassVar[str] = "retention"

    @property
    def name(self) -> str:
        return f"{self.database}/retention/{self.table}"


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows of `table` whose `column` names no row of `parent` are removed; NULL names none to miss."""

    database: str
    table: str
    column: str
    parent: str
    parent_column: str
    place: Place = field(compare=False, repr=False)

    kind: ClassVar[str] = "orphans"

    @property
    def name(self) -> str:
        return f"{self.database}/orphans/{self.table}"


@dataclass(frozen=True, slots=True)
class Vacuum:
    """VACUUM, with ANALYZE where asked, of the named tables or of all."""

    database: str
    tables: Literal["all"] | tuple[str, ...]
    analyze: bool
    place: Place = field(compare=False, repr=False)

    kind: ClassVar[str] = "vacuum"

    @property
    def name(self) -> str:
        return f"{self.database}/vacuum"


Policy = Retention | Orphans | Vacuum


@dataclass(frozen=True, slots=True)
class Database:
    """A database and its policies in the order of a night: retention, orphans, VACUUM."""

    name: str
    url_template: str = field(repr=False)
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

    cron: str
    timezone: str
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
    databases = tuple(
        _database(name, model, Place(source, ("databases", name)))
        for name, model in content.databases.items()
    )
    return Policies(content.schedule.cron, content.schedule.timezone, databases)


def _database(name: str, model: DatabaseSection, place: Place) -> Database:
    policies: list[Policy] = [
        Retention(name, rule.table, rule.column, rule.keep, rule.partition, place / "retention" / index)
        for index, rule in enumerate(model.retention)
    ]
    for index, rule in enumerate(model.orphans):
        parent, _, parent_column = rule.references.rpartition(".")
        policies.append(
            Orphans(name, rule.table, rule.column, parent, parent_column, place / "orphans" / index)
        )
    if model.vacuum is not None:
        policies.append(Vacuum(name, model.vacuum.tables, model.vacuum.analyze, place / "vacuum"))
    _refuse_repeats(policies)
    return Database(name, model.url, tuple(policies), place)


def _refuse_repeats(policies: list[Policy]) -> None:
    seen: dict[str, Policy] = {}
    for policy in policies:
        first = seen.setdefault(policy.name, policy)
        if first is not policy:
            raise PolicyError(
                [policy.place.problem("table", f"{policy.name} stands here twice; keep one of them")]
            )
