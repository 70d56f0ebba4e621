"""Moves this machine's clock, as a run sees it."""

from datetime import datetime, timedelta, tzinfo

from ops_pipeline.maintenance.retention import run

by = timedelta(0)


class Moved(datetime):
    """A clock that is fast or slow."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Moved":
        return cls.fromtimestamp((datetime.now(tz) + by).timestamp(), tz)


def shift(how_far: timedelta) -> None:
    """Moves the clock of this process forward by that much."""
    global by  # noqa: PLW0603 - there is one clock
    by = how_far
    run.datetime = Moved  # type: ignore[attr-defined]  # a name that the module imports, not one it offers
