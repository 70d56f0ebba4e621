"""Calls OPS_HEARTBEAT_URL after a good nightly run, so that a host that is down is noticed by its silence."""

from collections.abc import Iterable
from urllib.parse import quote

from ops_pipeline.orchestration import delivery
from ops_pipeline.settings import Settings

URL = "OPS_HEARTBEAT_URL"
DATABASE = "{database}"
"""The part of the URL that stands for the database's name."""


def address(settings: Settings, database: str) -> str | None:
    """What to call after a good run of that database; None where OPS_HEARTBEAT_URL is not set."""
    url = settings.heartbeat_url
    return None if url is None else url.replace(DATABASE, quote(database, safe=""))


def call_all(settings: Settings, databases: Iterable[str]) -> list[str]:
    """Calls the addresses of those databases once; returns the problems, one line each."""
    problems: list[str] = []
    for url in dict.fromkeys(address(settings, database) for database in databases):
        try:
            if url is not None:
                call(url)
        except (delivery.UndeliveredError, delivery.RefusedError) as error:
            problems.append(f"The heartbeat was not accepted: {error}")
    return problems


def call(address: str) -> None:
    """Calls the address once. Raises delivery.UndeliveredError and delivery.RefusedError."""
    delivery.send(URL, address, attempts=1)
