"""The retention policy, and its entry in policies.yaml: deletes rows older than `keep`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic_core import PydanticCustomError

from ops_pipeline.policies.file import DeletingSection
from ops_pipeline.policies.identity import Identity
from ops_pipeline.policies.load import PolicyEntry
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.policies.values import Column, Duration, Table, duration
from ops_pipeline.postgres.relation import TableName

KIND = "retention"
PREMAKE = timedelta(days=14)
"""How long before its day a partition is created, by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention(DeletingPolicy):
    """Deletes rows of `table` whose `column` is older than `keep`.

    `premake`: how long before its day a partition is created, where `partition` is "day".
    """

    column: str
    keep: timedelta
    partition: Literal["day"] | None
    premake: timedelta

    kind: ClassVar[str] = KIND
    selects: ClassVar[tuple[str, ...]] = ("column", "keep")

    def written(self, definition: Mapping[str, Any]) -> Mapping[str, str]:
        return {"column": str(definition["column"])}

    def partitioned_by_day(self) -> TableName | None:
        return self.table if self.partition == "day" else None

    def max_age(self) -> timedelta:
        return self.keep

    def time_column(self) -> str:
        return self.column


def _whole_days(duration: timedelta) -> timedelta:
    if duration % timedelta(days=1) or duration > timedelta(days=366):
        raise PydanticCustomError("premake", "write whole days, at most 366, for example 14 days")
    return duration


class RetentionSection(DeletingSection):
    """An entry of `retention`."""

    table: Table
    column: Column
    keep: Duration
    partition: Literal["day"] | None = None
    premake: Annotated[timedelta, BeforeValidator(duration), AfterValidator(_whole_days)] | None = None

    @model_validator(mode="after")
    def _premake_partitions(self) -> Self:
        if self.premake is not None and self.partition is None:
            raise PydanticCustomError("premake", "premake requires partition: day")
        return self


def read(entry: PolicyEntry[RetentionSection]) -> Retention:
    """The policy that an entry of policies.yaml describes."""
    section = entry.section
    return Retention(
        identity=Identity(entry.database, KIND, section.table, name=section.name),
        table=section.table,
        column=section.column,
        keep=section.keep,
        partition=section.partition,
        premake=section.premake or PREMAKE,
        archive=section.archive,
        cascade=section.cascade,
        guard=entry.guard_limits(section.guard),
        throttle=entry.throttle,
        place=entry.place,
    )
