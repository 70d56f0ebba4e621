"""The orphans policy, and its entry in policies.yaml: deletes rows whose parent no longer exists."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ops_pipeline.policies.file import DeletingSection
from ops_pipeline.policies.identity import Identity
from ops_pipeline.policies.load import PolicyEntry
from ops_pipeline.policies.model import DeletingPolicy, Policy
from ops_pipeline.policies.values import UNITS, Column, Flag, Table, column_name, duration, text
from ops_pipeline.postgres.relation import AmbiguousTableError, TableName, split_name

KIND = "orphans"
NO_GRACE_PERIOD = re.compile(rf"\s*0\s+({'|'.join(UNITS)})s?\s*")
QUOTED = r'"(?:[^"]|"")+"'
TABLE_PART = rf'(?:{QUOTED}|[^".(][^.(]*)'
SEVERAL_COLUMNS = re.compile(rf"(?P<table>{TABLE_PART}(?:\.{TABLE_PART})?)\((?P<columns>.+)\)")
ONE_COLUMN = re.compile(rf'\s*({QUOTED}|[^",\s][^,]*?)\s*(?:,|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans(DeletingPolicy):
    """Deletes rows of `table` whose `columns` match no row of `parent` in its `parent_columns`.

    None is deleted before it has been without a parent for the `grace_period`. A row with a NULL among its
    `columns` is not an orphan, unless `null_is_orphan`. `track`: triggers on the parent record the keys of
    deleted rows, and only their children are scanned.
    """

    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]
    grace_period: timedelta
    null_is_orphan: bool
    track: bool

    kind: ClassVar[str] = KIND
    selects: ClassVar[tuple[str, ...]] = (
        "columns", "parent", "parent_columns", "null_is_orphan", "grace_period",
    )  # fmt: skip

    def written(self, definition: Mapping[str, Any]) -> Mapping[str, str]:
        columns, parents = ", ".join(definition["columns"]), ", ".join(definition["parent_columns"])
        several = len(definition["columns"]) > 1
        return {
            "columns" if len(self.columns) > 1 else "column": columns,
            "references": f"{definition['parent']}{f'({parents})' if several else f'.{parents}'}",
            "null_is_orphan": str(definition["null_is_orphan"]).lower(),
        }

    def reference_columns(self) -> tuple[str, ...]:
        return self.columns

    @property
    def reference(self) -> str:
        """The referring columns, for a sentence."""
        return ", ".join(self.columns)


def _grace_period(value: object) -> timedelta:
    none = isinstance(value, str) and NO_GRACE_PERIOD.fullmatch(value)
    return timedelta(0) if none else duration(value)


def _reference(value: object) -> tuple[TableName, tuple[str, ...]]:
    reference = text(value)
    try:
        return _referenced(reference)
    except AmbiguousTableError as error:
        raise PydanticCustomError("references", "{problem}", {"problem": str(error)}) from None
    except ValueError:
        raise PydanticCustomError(
            "references",
            "{value} is not a valid reference; write the parent's table and column, for example sessions.id "
            "or sessions(tenant, id)",
            {"value": repr(value)},
        ) from None


def _referenced(text: str) -> tuple[TableName, tuple[str, ...]]:
    several = SEVERAL_COLUMNS.fullmatch(text)
    if several is None:
        *table, column = split_name(text)
        if not 1 <= len(table) <= 2:
            raise ValueError(text)
        return TableName.of(table), (column,)
    columns = ONE_COLUMN.findall(several["columns"])
    if "".join(ONE_COLUMN.split(several["columns"])[::2]):
        raise ValueError(text)
    return TableName.parse(several["table"].rstrip()), tuple(column_name(column) for column in columns)


class OrphansSection(DeletingSection):
    """An entry of `orphans`."""

    table: Table
    column: Column | None = None
    columns: Annotated[tuple[Column, ...], Field(min_length=1)] | None = None
    references: Annotated[tuple[TableName, tuple[str, ...]], BeforeValidator(_reference)]
    grace_period: Annotated[timedelta, BeforeValidator(_grace_period)] = timedelta(hours=1)
    null_is_orphan: Flag = False
    track: Flag = False

    @field_validator("references", mode="after")
    @classmethod
    def _name_as_many_columns(
        cls, references: tuple[TableName, tuple[str, ...]], info: ValidationInfo
    ) -> tuple[TableName, tuple[str, ...]]:
        if not {"column", "columns"} <= info.data.keys():
            return references  # one of them is invalid, which is an error of its own
        column, columns = info.data["column"], info.data["columns"]
        if column is not None and columns is not None:
            raise PydanticCustomError("columns", "write column, or columns for a composite key, not both")
        if column is None and columns is None:
            raise PydanticCustomError(
                "columns", "the referring column of the table is missing; write column, or columns"
            )
        given = columns or (column,)
        _, of_parent = references
        if len(given) != len(of_parent):
            raise PydanticCustomError(
                "columns",
                "{parent} columns of the parent are named, but {child} of the table; name the same number of "
                "columns",
                {"parent": len(of_parent), "child": len(given)},
            )
        return references

    @field_validator("track", mode="after")
    @classmethod
    def _see_no_nulls(cls, track: bool, info: ValidationInfo) -> bool:
        if track and info.data.get("null_is_orphan"):
            raise PydanticCustomError(
                "track",
                "track cannot be used with null_is_orphan: triggers record deleted parents, not NULL "
                "references. Remove one of the two",
            )
        return track


def read(entry: PolicyEntry[OrphansSection]) -> Orphans:
    """The policy that an entry of policies.yaml describes."""
    section = entry.section
    parent, parent_columns = section.references
    columns = section.columns or (str(section.column),)
    return Orphans(
        identity=Identity(entry.database, KIND, section.table, columns, section.name),
        table=section.table,
        columns=columns,
        parent=parent,
        parent_columns=parent_columns,
        grace_period=section.grace_period,
        null_is_orphan=section.null_is_orphan,
        track=section.track,
        archive=section.archive,
        cascade=section.cascade,
        guard=entry.guard_limits(section.guard),
        throttle=entry.throttle,
        place=entry.place,
    )


def ordered(policies: Sequence[Orphans]) -> Sequence[Orphans]:
    """The policies in an order in which each table comes after those it refers to, as far as possible.

    So in a chain where c refers to b and b to a, one run that loses rows of a cleans up b and then c.
    """
    done: list[Orphans] = []
    waiting = list(policies)
    while waiting:
        deleting = {policy.table for policy in waiting}
        free = [policy for policy in waiting if policy.parent not in deleting - {policy.table}]
        done += free or waiting[:1]  # tables that refer to each other in a circle: in the file's order
        waiting = [policy for policy in waiting if policy not in done]
    return done


def after(policy: Orphans, earlier: Sequence[Policy]) -> Sequence[Policy]:
    """The earlier policies that delete rows of its parent, and so make orphans."""
    return [other for other in earlier if isinstance(other, DeletingPolicy) and other.table == policy.parent]
