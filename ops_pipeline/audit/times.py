"""Parses a time as users write it: ISO 8601, or relative to now."""

import re
from datetime import UTC, datetime, timedelta

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMS = "write ISO 8601, for example 2026-01-31T12:00:00Z, or now, -15m, -36h, -7d, -2w"


def read(text: str, now: datetime) -> datetime:
    """The time that `text` means, in UTC.

    `now`, or a time before `now` (`-90s`, `-15m`, `-36h`, `-7d`, `-2w`), or ISO 8601, where a time
    without a zone is UTC and a date means 00:00.

    Raises ValueError, saying what would be right.
    """
    if text == "now":
        return now
    try:
        if relative := re.fullmatch(r"-([0-9]{1,9})([smhdw])", text):
            return now - timedelta(**{UNITS[relative[2]]: int(relative[1])})
        # A plus sign that was not escaped in a URL arrives as a space.
        zoned = re.sub(r"(?<=[0-9]) (?=[0-9:]+$)", "+", text) if "T" in text else text
        moment = datetime.fromisoformat(without_leap_second(zoned))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:50]!r} is not a valid time; {FORMS}") from None


def without_leap_second(text: str) -> str:
    """A leap second, 23:59:60 in UTC, as the second after it, which is how PostgreSQL and Unix count it; any
    other text unchanged."""
    leap = re.fullmatch(r"(.+[T ][0-9]{2}:[0-9]{2}:)60(.*)", text)
    if leap is None:
        return text
    try:
        before = datetime.fromisoformat(f"{leap[1]}59{leap[2]}")
        in_utc = before.astimezone(UTC) if before.tzinfo else before
        after = before + timedelta(seconds=1)
    except (ValueError, OverflowError):
        return text
    return after.isoformat() if (in_utc.hour, in_utc.minute) == (23, 59) else text


def ahead(text: str, now: datetime) -> datetime:
    """The future time that `text` means, in UTC: `90d`, `12h` or `30m` from `now`, or ISO 8601 as for `read`.

    Raises ValueError, saying what would be right.
    """
    try:
        if (given := _duration(text)) is not None:
            return now + given
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        reason = f"{text!r} is not a valid time; write 90d, 12h, 30m, 2027-01-01 or 2027-01-01T12:00:00Z"
        raise ValueError(reason) from None


def duration(text: str) -> timedelta:
    """The duration that `7d`, `12h` or `30m` means. Raises ValueError, saying what would be right."""
    if (given := _duration(text)) is None:
        raise ValueError(f"{text[:50]!r} is not a valid duration; write 7d, 12h or 30m")
    return given


def _duration(text: str) -> timedelta | None:
    given = re.fullmatch(r"([0-9]{1,6})([dhm])", text.strip())
    return timedelta(**{UNITS[given[2]]: int(given[1])}) if given else None


def is_relative(text: str) -> bool:
    """Whether `text` is relative to now."""
    return text == "now" or text.startswith("-")
