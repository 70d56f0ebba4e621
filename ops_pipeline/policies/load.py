"""Loads `policies.yaml` into typed policies, or reports all its problems before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import create_model

from ops_pipeline.policies.file import (
    DatabaseSection,
    FileSection,
    GuardSection,
    Mode,
    OwnedSection,
    Place,
    PolicyError,
    ScheduleSection,
    read,
)
from ops_pipeline.policies.model import (
    Database,
    DeletingPolicy,
    GuardLimits,
    Policies,
    Policy,
    Schedule,
    ThrottleLimits,
)
from ops_pipeline.policies.values import DatabaseName

Form = TypeVar("Form", bound=OwnedSection)


@dataclass(frozen=True, slots=True)
class PolicyEntry(Generic[Form]):
    """An entry of the file that becomes a policy, with the settings of its database."""

    database: str
    section: Form
    mode: Mode
    guard: GuardSection
    throttle: ThrottleLimits
    place: Place

    @property
    def observe(self) -> bool:
        """Whether the policy is observed only: by its own `mode`, else by the database's.

        A kind may give `mode` further values; only `enforce` overrides the database's.
        """
        own = getattr(self.section, "mode", None)
        return own == "observe" or (self.mode == "observe" and own != "enforce")

    def guard_limits(self, own: GuardSection) -> GuardLimits:
        """The entry's own limits, completed by the database's."""
        return GuardLimits(**(self.guard.model_dump(exclude_unset=True) | own.model_dump(exclude_unset=True)))


class KindSchema(Protocol):
    """How the file describes a kind of policy, under the key `name`.

    `section`: the keys of an entry. `several`: whether there is a list of entries or a single one.
    """

    @property
    def name(self) -> str: ...
    @property
    def section(self) -> type[OwnedSection]: ...
    @property
    def several(self) -> bool: ...

    def read(self, entry: PolicyEntry[Any]) -> Policy:
        """The policy of an entry."""

    def ordered(self, policies: Sequence[Any]) -> Sequence[Policy]:
        """The policies of this kind of one database, in the order of a run."""


def load(path: Path, kinds: Sequence[KindSchema]) -> Policies:
    """The policies in that file.

    Raises PolicyError with every problem found, each with file, line, key, and what would be right.
    """
    content, source = read(path, _form(kinds))
    return Policies(
        tuple(
            _database(name, section, content.schedule, kinds, Place(source, ("databases", name)))
            for name, section in content.databases.items()
        )
    )


def _form(kinds: Sequence[KindSchema]) -> type[FileSection]:
    fields: dict[str, Any] = {
        kind.name: (tuple.__class_getitem__((kind.section, ...)), ())
        if kind.several
        else (kind.section | None, None)
        for kind in kinds
    }
    database: Any = create_model("DatabaseForm", __base__=DatabaseSection, **fields)
    return create_model("FileForm", __base__=FileSection, databases=(dict[DatabaseName, database], ...))


def _database(
    name: str,
    section: DatabaseSection,
    schedule: ScheduleSection,
    kinds: Sequence[KindSchema],
    place: Place,
) -> Database:
    policies: list[Policy] = []
    for kind in kinds:
        entries = _entries(name, section, kind, place)
        policies += kind.ordered([_policy(kind, entry, section) for entry in entries])
    _refuse_repeats(policies)
    policies = _knowing_each_other(policies)
    own = section.schedule or schedule
    return Database(
        name,
        section.url,
        Schedule(own.cron, own.timezone),
        tuple(policies),
        place,
        section.password_command,
        section.password_file,
    )


def _policy(kind: KindSchema, entry: PolicyEntry[OwnedSection], database: DatabaseSection) -> Policy:
    own = entry.section
    return replace(
        kind.read(entry),
        observe=entry.observe,
        owners=own.owners or database.owners,
        tags={**database.tags, **own.tags},
    )


def _knowing_each_other(policies: Sequence[Policy]) -> list[Policy]:
    deleting = tuple(policy for policy in policies if isinstance(policy, DeletingPolicy))
    return [
        replace(policy, deleting=deleting) if isinstance(policy, DeletingPolicy) else policy
        for policy in policies
    ]


def _entries(name: str, section: DatabaseSection, kind: KindSchema, place: Place) -> list[PolicyEntry[Any]]:
    throttle = ThrottleLimits(**dict(section.throttle))
    content, place = getattr(section, kind.name), place / kind.name
    if kind.several:
        return [
            PolicyEntry(name, entry, section.mode, section.guard, throttle, place / index)
            for index, entry in enumerate(content)
        ]
    if content is None:
        return []
    return [PolicyEntry(name, content, section.mode, section.guard, throttle, place)]


def _refuse_repeats(policies: Sequence[Policy]) -> None:
    problems: list[str] = []
    seen: dict[str, Policy] = {}
    for policy in policies:
        first = seen.setdefault(policy.name, policy)
        if first is not policy:
            problems.append(
                policy.place.problem(
                    "table",
                    f"{policy.name} is defined twice, first in line {first.place.line}; remove one of them, "
                    "or give each a name, for example `name: old_rows`",
                )
            )
    if problems:
        raise PolicyError(problems)
