"""The values in `policies.yaml`: what each may be, and an error that says what would be right."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

UNITS = {"second": "seconds", "minute": "minutes", "hour": "hours", "day": "days", "week": "weeks"}


def _grace(value: object) -> timedelta:
    none = isinstance(value, str) and re.fullmatch(rf"\s*0\s+({'|'.join(UNITS)})s?\s*", value)
    return timedelta(0) if none else _duration(value)


def _duration(value: object) -> timedelta:
    match = re.fullmatch(r"\s*(\d{1,9})\s+([a-z]+?)s?\s*", value) if isinstance(value, str) else None
    if match is None or match.group(2) not in UNITS:
        raise PydanticCustomError(
            "duration",
            '{value} is no duration; write a number and a unit, for example "30 days" '
            "(seconds, minutes, hours, days or weeks)",
            {"value": repr(value)},
        )
    duration = timedelta(**{UNITS[match.group(2)]: int(match.group(1))})
    if not timedelta(0) < duration <= timedelta(days=36_500):
        raise PydanticCustomError("duration", "the duration must be between 1 second and 100 years")
    return duration


def _days_ahead(duration: timedelta) -> timedelta:
    if duration % timedelta(days=1) or duration > timedelta(days=366):
        raise PydanticCustomError("ahead", "write whole days, 366 at most, for example 14 days")
    return duration


def _cron(value: object) -> str:
    try:
        CronSim(str(value), datetime.now(UTC))
    except CronSimError as error:
        raise PydanticCustomError(
            "cron",
            'five cron fields are needed, for example "0 2 * * *" for every night at 02:00 ({problem})',
            {"problem": str(error)},
        ) from None
    return str(value)


def _timezone(value: object) -> str:
    try:
        return ZoneInfo(str(value)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError(
            "timezone",
            "{value} is no time zone; write UTC or a name such as Europe/Berlin",
            {"value": repr(value)},
        ) from None


def _tables(value: object) -> object:
    if value == "all" or isinstance(value, list):
        return value
    raise PydanticCustomError("tables", "write all, or a list of tables: [sessions, memories]")


def _fraction(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise PydanticCustomError(
        "fraction", "write a share between 0 and 1, for example 0.5; 1 allows everything"
    )


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
        "bloat", "write the share of an index that is bloat, between 0.1 and 0.95, for example 0.5"
    )


def _index_size(value: object) -> int:
    units = {"kB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
    match = re.fullmatch(r"(\d{1,6}) ?(kB|MB|GB|TB)", value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "index_size", "write a number and a unit, for example 100 MB (units: kB, MB, GB, TB)"
        )
    return int(match.group(1)) * units[match.group(2)]


NAME = r"[^\s.]+"
Table = Annotated[str, StringConstraints(pattern=rf"^{NAME}(\.{NAME})?$")]
Column = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
PARENT_NAME = r"[^\s.(),]+"
Reference = Annotated[
    str,
    StringConstraints(
        pattern=rf"^({PARENT_NAME}\.)?{PARENT_NAME}"
        rf"(\.{PARENT_NAME}|\({PARENT_NAME}(,\s*{PARENT_NAME})*\))$"
    ),
]
DatabaseName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
DaysAhead = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_days_ahead)]
Grace = Annotated[timedelta, BeforeValidator(_grace)]
Cron = Annotated[str, BeforeValidator(_cron)]
TimeZone = Annotated[str, BeforeValidator(_timezone)]
Tables = Annotated[Literal["all"] | tuple[Table, ...], BeforeValidator(_tables)]
Fraction = Annotated[float, BeforeValidator(_fraction)]
BufferSize = Annotated[str, BeforeValidator(_buffer_size)]
CostDelay = Annotated[float, BeforeValidator(_cost_delay)]
Bloat = Annotated[float, BeforeValidator(_bloat)]
IndexSize = Annotated[int, BeforeValidator(_index_size)]
