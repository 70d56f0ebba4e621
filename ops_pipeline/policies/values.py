"""Validates the values in `policies.yaml`; each error says what would be right."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, PydanticKnownError

from ops_pipeline.counted import counted
from ops_pipeline.postgres.relation import AmbiguousTableError, TableName, split_name

UNITS = {"second": "seconds", "minute": "minutes", "hour": "hours", "day": "days", "week": "weeks"}
SIZES = {"kB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}


def text(value: object) -> str:
    """The text. YAML reads `2024`, `null` and `[a, b]` as something else. Raises PydanticKnownError."""
    if isinstance(value, str):
        return value
    raise PydanticKnownError("string_type")


def duration(value: object) -> timedelta:
    """`30 days`: a number and a unit, from a second to 100 years. Raises PydanticCustomError."""
    match = re.fullmatch(r"\s*(\d{1,9})\s+([a-z]+?)s?\s*", value) if isinstance(value, str) else None
    if match is None or match.group(2) not in UNITS:
        raise PydanticCustomError(
            "duration",
            '{value} is not a valid duration; write a number and a unit, for example "30 days" '
            "(seconds, minutes, hours, days or weeks)",
            {"value": repr(value)},
        )
    duration = timedelta(**{UNITS[match.group(2)]: int(match.group(1))})
    if not timedelta(0) < duration <= timedelta(days=36_500):
        raise PydanticCustomError("duration", "the duration must be between 1 second and 100 years")
    return duration


def written(duration: timedelta) -> str:
    """The duration as policies.yaml has it, in the largest unit up to days that divides it: `90 seconds`."""
    for unit in ("day", "hour", "minute"):
        number, rest = divmod(duration, timedelta(**{UNITS[unit]: 1}))
        if number and not rest:
            return counted(number, unit)
    return counted(round(duration.total_seconds()), "second")


def _cron(value: object) -> str:
    cron = text(value)
    try:
        CronSim(cron, datetime.now(UTC))
    except CronSimError as error:
        raise PydanticCustomError(
            "cron",
            'must be five cron fields, for example "0 2 * * *" for every night at 02:00 ({problem})',
            {"problem": str(error)},
        ) from None
    return cron


def _timezone(value: object) -> str:
    name = text(value)
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError(
            "timezone",
            "{value} is not a time zone; write UTC or a name such as Europe/Berlin",
            {"value": repr(value)},
        ) from None


def _fraction(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise PydanticCustomError(
        "fraction", "must be a number between 0 and 1, for example 0.5; 1 means no limit"
    )


def size(value: object) -> int:
    """`100 MB`: bytes, from a number and a decimal unit. Raises PydanticCustomError."""
    match = re.fullmatch(r"(\d{1,6}) ?(kB|MB|GB|TB)", value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "size", "write a number and a unit, for example 100 MB (units: kB, MB, GB, TB)"
        )
    return int(match.group(1)) * SIZES[match.group(2)]


def _table(value: object) -> TableName:
    name = text(value)
    try:
        return TableName.parse(name)
    except AmbiguousTableError as error:
        raise PydanticCustomError("table", "{problem}", {"problem": str(error)}) from None
    except ValueError:
        raise PydanticCustomError(
            "table", "{value} is not a valid table name; write table or schema.table", {"value": repr(value)}
        ) from None


def column_name(text: str) -> str:
    """The column of that name, written literally or in double quotes as in SQL. Raises ValueError."""
    (column,) = split_name(text)
    return column


def _column(value: object) -> str:
    name = text(value)
    try:
        return column_name(name)
    except ValueError:
        raise PydanticCustomError(
            "column",
            "{value} is not a valid column name; put a name with a dot in double quotes",
            {"value": repr(value)},
        ) from None


def _owner(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"team:\S.*|[^@\s]+@[^@\s]+\.[^@\s]+", value):
        return value
    raise PydanticCustomError(
        "owner",
        "{value} is not an owner; write an e-mail address or team:NAME, for example team:payments",
        {"value": repr(value)},
    )


def _label(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", value):
        return value
    raise PydanticCustomError(
        "label",
        "{value} is not a valid tag; write 1 to 63 letters, digits, underscores, hyphens and dots",
        {"value": repr(value)},
    )


Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
Table = Annotated[TableName, BeforeValidator(_table)]
Column = Annotated[str, BeforeValidator(_column)]
DatabaseName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
PolicyName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Size = Annotated[int, BeforeValidator(size)]
"""Bytes."""
Duration = Annotated[timedelta, BeforeValidator(duration)]
Cron = Annotated[str, BeforeValidator(_cron)]
TimeZone = Annotated[str, BeforeValidator(_timezone)]
Fraction = Annotated[float, BeforeValidator(_fraction)]
Owner = Annotated[str, BeforeValidator(_owner)]
Label = Annotated[str, BeforeValidator(_label)]
"""The name or the value of a tag."""
