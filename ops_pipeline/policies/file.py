"""Parses and validates `policies.yaml`; errors name the line and the key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from ops_pipeline.expected import expected
from ops_pipeline.nearest import nearest
from ops_pipeline.policies.values import (
    Count,
    Cron,
    Duration,
    Flag,
    Fraction,
    Label,
    Owner,
    PolicyName,
    Size,
    TimeZone,
)

Keys = tuple[str | int, ...]
Form = TypeVar("Form", bound="FileSection")
Mode = Literal["enforce", "observe"]
"""Whether a policy is carried out, or only planned and recorded."""


class PolicyError(Exception):
    """The policies are invalid. `problems` has one line for each thing to fix."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A parsed file, with its line numbers."""

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
    """A position in the file: the keys that lead to it."""

    source: PolicyFile
    keys: Keys = ()

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.source, (*self.keys, key))

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.source.line(self.keys)

    def problem(self, key: str | int, message: str) -> str:
        """`policies.yaml:9: databases.app.retention[0].column: <message>`"""
        keys = (*self.keys, key)
        return f"{self.source.path}:{self.source.line(keys)}: {_dotted(keys)}: {message}"


def _dotted(keys: Keys) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


class Section(BaseModel):
    """A mapping in the file. An unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _know_every_key(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise PydanticCustomError(
                "section",
                "must be a mapping with keys of: {keys}",
                {"keys": ", ".join(cls.model_fields)},
            )
        for key in value:
            if key not in cls.model_fields:
                advice = nearest(str(key), list(cls.model_fields))
                message = f"unknown key; {advice}"
                raise PydanticCustomError("unknown_key", "{message}", {"key": key, "message": message})
        return value


class ScheduleSection(Section):
    """When the nightly run starts."""

    cron: Cron = "0 2 * * *"
    timezone: TimeZone = "UTC"


class GuardSection(Section):
    """What a run may delete without approval."""

    max_fraction: Fraction = 0.5
    max_rows: Count | None = None


class OwnedSection(Section):
    """The keys of every policy. `owners` replaces the database's, `tags` adds to them."""

    owners: tuple[Owner, ...] = ()
    tags: Mapping[Label, Label] = Field(default_factory=dict)


class DeletingSection(OwnedSection):
    """The keys of every policy that deletes rows. `cascade`: see `DeletingPolicy`."""

    name: PolicyName | None = None
    mode: Mode | None = None
    archive: Flag = False
    cascade: Literal["archive", "delete"] | None = None
    guard: GuardSection = GuardSection()

    @model_validator(mode="after")
    def _archive_what_children_refer_to(self) -> Self:
        if self.cascade == "archive" and not self.archive:
            raise PydanticCustomError(
                "cascade",
                "cascade: archive requires archive: true in the same policy, so that the rows that the "
                "archived rows refer to are archived as well",
            )
        return self


class ThrottleSection(Section):
    """Limits above which a run is throttled."""

    replica_lag: Duration | None = timedelta(seconds=60)
    lock_queue: Count | None = 8
    active_sessions: Annotated[Count, Field(ge=1)] | None = None
    wal_rate: Size | None = None


class DatabaseSection(Section):
    """A database; each kind of policy adds a key of its own (see `load`)."""

    url: str
    password_command: str | None = None
    password_file: Path | None = None
    mode: Mode = "enforce"
    schedule: ScheduleSection | None = None
    guard: GuardSection = GuardSection()
    throttle: ThrottleSection = ThrottleSection()
    owners: tuple[Owner, ...] = ()
    tags: Mapping[Label, Label] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.password_command is not None and self.password_file is not None:
            raise PydanticCustomError(
                "password", "password_command and password_file cannot both be set; remove one"
            )
        return self


class FileSection(Section):
    """The whole file."""

    version: Literal[1]
    schedule: ScheduleSection = ScheduleSection()
    databases: Mapping[str, DatabaseSection]


def read(path: Path, form: type[Form]) -> tuple[Form, PolicyFile]:
    """The file's validated content, and the file for the positions of its parts.

    Raises PolicyError with every problem found.
    """
    try:
        root = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(
            [f"{path}: cannot be read ({error.strerror}); set OPS_POLICIES to the file with the policies"]
        ) from error
    except UnicodeDecodeError as error:
        raise PolicyError([f"{path}: is not UTF-8 text (byte {error.start})"]) from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "is not YAML").strip().splitlines()[0]
        if "'\\t'" in problem:
            problem = "a tab; indent with spaces"
        raise PolicyError([f"{path}:{line}: {problem}"]) from error
    source = PolicyFile(path, root)
    try:
        return form.model_validate(root), source
    except ValidationError as error:
        # A list of tables is also tried as the word "all"; that error is noise.
        problems = [details for details in error.errors() if "literal['all']" not in details["loc"]]
        raise PolicyError([_problem(source, details) for details in problems]) from None


def _problem(source: PolicyFile, details: Any) -> str:
    keys = tuple(key for key in details["loc"] if not re.match(r"tuple\[|\[key\]", str(key)))
    context = details.get("ctx", {})
    if details["type"] == "unknown_key":
        keys = (*keys, context["key"])
    return f"{source.path}:{source.line(keys)}: {_dotted(keys) or 'the file'}: {_message(details)}"


def _message(details: Any) -> str:
    match details["type"]:
        case "missing":
            return "is required"
        case "string_pattern_mismatch":  # a database's name; all other values have messages of their own
            return (
                f"{details['input']!r} is not a valid name; write at most 31 lower-case letters, digits and "
                "underscores, a letter first"
            )
        case "tuple_type":
            return "write a list, with an entry for each, such as `- {…}`"
        case _:
            return expected(details)
