"""The form of `policies.yaml`, and errors that point at the line and key."""

import difflib
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from ops_pipeline.policy_values import (
    Bloat,
    BufferSize,
    Column,
    CostDelay,
    Cron,
    DatabaseName,
    DaysAhead,
    Duration,
    Fraction,
    Grace,
    IndexSize,
    Reference,
    Table,
    Tables,
    TimeZone,
)

Keys = tuple[str | int, ...]


class PolicyError(Exception):
    """The policies are wrong. `problems` holds one line for each thing to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read, with its line numbers."""

    path: Path
    root: Any

    def line(self, keys: Keys) -> int:
        """The line (from 1) of that key, or of the nearest one above it that exists."""
        node, line = self.root, 1
        for key in keys:
            if not isinstance(node, CommentedMap | CommentedSeq) or key not in (node.lc.data or ()):
                break
            line = node.lc.data[key][0] + 1
            node = node[key]
        return int(line)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file something stands."""

    source: Source
    keys: Keys = ()

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.source, (*self.keys, key))

    def problem(self, key: str | int, message: str) -> str:
        """`policies.yaml:9: databases.app.retention[0].column: <message>`"""
        keys = (*self.keys, key)
        return f"{self.source.path}:{self.source.line(keys)}: {_dotted(keys)}: {message}"


def _dotted(keys: Keys) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


class Section(BaseModel):
    """A mapping in the file. A key it does not know is an error that names the nearest one it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _know_every_key(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise PydanticCustomError(
                "section",
                "keys and values are needed here: {keys}",
                {"keys": ", ".join(cls.model_fields)},
            )
        for key in value:
            if key not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown_key",
                    "{message}",
                    {
                        "key": key,
                        "message": f"unknown key; {nearest(str(key), list(cls.model_fields))}",
                    },
                )
        return value


def nearest(wrong: str, right: list[str]) -> str:
    """What was probably meant, and what there is."""
    close = difflib.get_close_matches(wrong, right, n=1)
    meant = f'did you mean "{close[0]}"? ' if close else ""
    return f"{meant}There is: {', '.join(right)}"


class ScheduleSection(Section):
    """When the night is."""

    cron: Cron = "0 2 * * *"
    timezone: TimeZone = "UTC"


class GuardSection(Section):
    """How much may go without asking."""

    max_fraction: Fraction = 0.5
    max_rows: Annotated[int, Field(ge=0)] | None = None


class RetentionRule(Section):
    """Rows that grow too old."""

    table: Table
    column: Column
    keep: Duration
    partition: Literal["day"] | None = None
    ahead: DaysAhead | None = None
    archive: bool = False
    guard: GuardSection = GuardSection()

    @model_validator(mode="after")
    def _ahead_of_partitions(self) -> Self:
        if self.ahead is not None and self.partition is None:
            raise PydanticCustomError("ahead", "ahead needs partition: day beside it")
        return self


class OrphansRule(Section):
    """Rows that refer to nothing that is there."""

    table: Table
    column: Column | None = None
    columns: Annotated[tuple[Column, ...], Field(min_length=1)] | None = None
    references: Reference
    grace: Grace = timedelta(hours=1)
    null_is_orphan: bool = False
    track: bool = False
    archive: bool = False
    guard: GuardSection = GuardSection()

    @field_validator("references", mode="after")
    @classmethod
    def _name_as_many_columns(cls, references: str, info: ValidationInfo) -> str:
        column, columns = info.data.get("column"), info.data.get("columns")
        if column is not None and columns is not None:
            raise PydanticCustomError("columns", "write column, or columns for a key of several; not both")
        if column is None and columns is None:
            raise PydanticCustomError(
                "columns", "the column of the table that refers to it is missing: write column, or columns"
            )
        given = columns or (column,)
        _, of_parent = referenced(references)
        if len(given) != len(of_parent):
            raise PydanticCustomError(
                "columns",
                "{parent} columns of the parent are named, but {child} of the table; write as many",
                {"parent": len(of_parent), "child": len(given)},
            )
        return references

    @field_validator("track", mode="after")
    @classmethod
    def _see_no_nulls(cls, track: bool, info: ValidationInfo) -> bool:
        if track and info.data.get("null_is_orphan"):
            raise PydanticCustomError(
                "track",
                "a NULL is no deleted parent, so nothing records it; leave track or null_is_orphan out",
            )
        return track


def referenced(references: str) -> tuple[str, tuple[str, ...]]:
    """`sessions.id` or `sessions(tenant, id)`: the parent and its columns."""
    if references.endswith(")"):
        parent, _, columns = references[:-1].partition("(")
        return parent, tuple(column.strip() for column in columns.split(","))
    parent, _, column = references.rpartition(".")
    return parent, (column,)


class ReindexSection(Section):
    """Which indexes are built anew."""

    bloat: Bloat = 0.5
    min_size: Annotated[IndexSize, Field(validate_default=True)] = cast("int", "100 MB")


class VacuumRule(Section):
    """What to vacuum."""

    tables: Tables = "all"
    mode: Literal["needed", "everything"] = "needed"
    analyze: bool = True
    truncate: bool = False
    index_cleanup: Literal["auto", "on", "off"] = "auto"
    parallel: Annotated[int, Field(ge=0, le=1024)] | None = None
    buffer_usage_limit: BufferSize | None = None
    cost_delay: CostDelay | None = None
    reindex: ReindexSection | None = None


class ThrottleSection(Section):
    """What makes maintenance pause."""

    replica_lag: Duration | None = timedelta(seconds=60)
    lock_queue: Annotated[int, Field(ge=0)] | None = 8
    active_sessions: Annotated[int, Field(ge=1)] | None = None
    wal_rate: ByteSize | None = None


class DatabaseSection(Section):
    """A database and the rules for it."""

    url: str
    schedule: ScheduleSection | None = None
    retention: tuple[RetentionRule, ...] = ()
    orphans: tuple[OrphansRule, ...] = ()
    vacuum: VacuumRule | None = None
    guard: GuardSection = GuardSection()
    throttle: ThrottleSection = ThrottleSection()


class FileSection(Section):
    """The whole file."""

    version: Literal[1]
    schedule: ScheduleSection = ScheduleSection()
    databases: dict[DatabaseName, DatabaseSection]


def read(path: Path) -> tuple[FileSection, Source]:
    """The file's content, checked against its form, and where each part stands.

    Raises PolicyError with every problem found.
    """
    try:
        root = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(
            [f"{path}: cannot be read ({error.strerror}); OPS_POLICIES names the file with the policies"]
        ) from error
    except UnicodeDecodeError as error:
        raise PolicyError([f"{path}: is not UTF-8 text (byte {error.start})"]) from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "is not YAML").strip().splitlines()[0]
        raise PolicyError([f"{path}:{line}: {problem}"]) from error
    source = Source(path, root)
    try:
        return FileSection.model_validate(root), source
    except ValidationError as error:
        # A list of tables is also tried as the word "all"; that it is not the word is no news.
        problems = [details for details in error.errors() if "literal['all']" not in details["loc"]]
        raise PolicyError([_problem(source, details) for details in problems]) from None


def _problem(source: Source, details: Any) -> str:
    keys = tuple(key for key in details["loc"] if not re.match(r"tuple\[|\[key\]", str(key)))
    context = details.get("ctx", {})
    if details["type"] == "unknown_key":
        keys = (*keys, context["key"])
    return f"{source.path}:{source.line(keys)}: {_dotted(keys) or 'the file'}: {_message(details)}"


def _message(details: Any) -> str:
    match details["type"]:
        case "missing":
            return "is missing"
        case "string_pattern_mismatch":
            return _expected(details["loc"], details["input"])
        case "literal_error":
            return f"write {details['ctx']['expected']}, not {details['input']!r}"
        case _:
            return str(details["msg"])


def _expected(keys: Keys, given: object) -> str:
    table = "a table's name, or schema.table"
    right = {
        "table": table,
        "tables": table,
        "column": "a column's name",
        "references": "the parent's table and column, for example sessions.id or sessions(tenant, id)",
    }
    key = next((str(key) for key in reversed(keys) if key in right), "")
    return f"{given!r} does not fit; write {right.get(key, 'lower-case letters, digits and underscores')}"
