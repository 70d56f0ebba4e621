"""The vacuum policy, and its entry in policies.yaml: VACUUM, ANALYZE and, if set, REINDEX of tables."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, cast

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ops_pipeline.policies.file import OwnedSection, Section
from ops_pipeline.policies.identity import Identity
from ops_pipeline.policies.load import PolicyEntry
from ops_pipeline.policies.model import Policy
from ops_pipeline.policies.values import Count, Flag, Size, Table
from ops_pipeline.postgres.relation import TableName

KIND = "vacuum"


@dataclass(frozen=True, slots=True)
class Reindex:
    """Rebuilds B-trees of at least `min_size` bytes whose bloat is at least `min_bloat`, from 0 to 1."""

    min_bloat: float
    min_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuum(Policy):
    """VACUUM, and with `analyze` ANALYZE, of the named tables or of all.

    `mode`: "auto" vacuums the tables that need it, "always" every table. `parallel`: workers for indexes,
    None: the server decides. `buffer_usage_limit`: a size as PostgreSQL reads it, since version 16.
    `cost_delay`: milliseconds that VACUUM sleeps for each `vacuum_cost_limit` of cost. `reindex`: which
    indexes are rebuilt afterwards, None: none. `throttle` applies to the rebuilds, not to VACUUM.
    """

    tables: Literal["all"] | tuple[TableName, ...]
    mode: Literal["auto", "always"]
    analyze: bool
    truncate: bool
    index_cleanup: Literal["auto", "on", "off"]
    parallel: int | None
    buffer_usage_limit: str | None
    cost_delay: float
    reindex: Reindex | None

    kind: ClassVar[str] = KIND


def _tables(value: object) -> object:
    if value == "all" or (isinstance(value, list) and value):
        return value
    raise PydanticCustomError("tables", "write all, or a list of tables: [sessions, memories]")


def _buffer_size(value: object) -> str:
    units = {"kB": 1, "MB": 1024, "GB": 1024**2}
    match = re.fullmatch(r"(\d{1,9}) ?(kB|MB|GB)", value) if isinstance(value, str) else None
    if match is None or not 128 <= int(match.group(1)) * units[match.group(2)] <= 16 * 1024**2:
        raise PydanticCustomError(
            "buffer_size", "write a size between 128 kB and 16 GB, for example 256 MB (units: kB, MB, GB)"
        )
    return f"{match.group(1)}{match.group(2)}"


def _cost_delay(value: object) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?) ?ms", value) if isinstance(value, str) else None
    if match is None or float(match.group(1)) > 100:
        raise PydanticCustomError("cost_delay", "write milliseconds between 0 and 100, for example 2 ms")
    return float(match.group(1))


def _bloat(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.1 <= value <= 0.95:
        return float(value)
    raise PydanticCustomError(
        "bloat", "write a share of the index's size between 0.1 and 0.95, for example 0.5"
    )


class ReindexSection(Section):
    """Which indexes are rebuilt."""

    min_bloat: Annotated[float, BeforeValidator(_bloat)] = 0.5
    min_size: Annotated[Size, Field(validate_default=True)] = cast("int", "100 MB")


class VacuumSection(OwnedSection):
    """The entry `vacuum`. With `mode: observe` the tables are chosen as with `auto`."""

    tables: Annotated[Literal["all"] | tuple[Table, ...], BeforeValidator(_tables)] = "all"
    mode: Literal["auto", "always", "observe"] = "auto"
    analyze: Flag = True
    truncate: Flag = False
    index_cleanup: Literal["auto", "on", "off"] = "auto"
    parallel: Annotated[Count, Field(le=1024)] | None = None
    buffer_usage_limit: Annotated[str, BeforeValidator(_buffer_size)] | None = None
    cost_delay: Annotated[float, BeforeValidator(_cost_delay)] | None = None
    reindex: ReindexSection | None = None


def read(entry: PolicyEntry[VacuumSection]) -> Vacuum:
    """The policy that the entry of policies.yaml describes."""
    section = entry.section
    return Vacuum(
        identity=Identity(entry.database, KIND),
        tables=section.tables,
        mode="auto" if section.mode == "observe" else section.mode,
        analyze=section.analyze,
        truncate=section.truncate,
        index_cleanup=section.index_cleanup,
        parallel=section.parallel,
        buffer_usage_limit=section.buffer_usage_limit,
        cost_delay=section.cost_delay or 0.0,
        reindex=Reindex(**dict(section.reindex)) if section.reindex is not None else None,
        throttle=entry.throttle,
        place=entry.place,
    )
