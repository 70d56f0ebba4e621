"""What is said to clients that exceed a limit of their connection."""

from dataclasses import dataclass, field
from typing import Any

RETRY_AFTER_SECONDS = "5"


@dataclass(frozen=True, slots=True)
class Violation:
    """The status and the reason, for the application to respond with."""

    status: int
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


def not_http() -> Violation:
    """The client did not send a valid HTTP request."""
    return Violation(400, "The request is not valid HTTP/1.1. Nothing was done.")


def too_large(limit: str) -> Violation:
    """The head exceeds that limit."""
    return Violation(431, f"The request line and headers exceed {limit}. Nothing was done; send less.")


def too_slow(part: str, how: str) -> Violation:
    """A part of the request took too long."""
    return Violation(408, f"The request's {part} {how}. Nothing was done; send the request again.")


def too_many(most: int) -> Violation:
    """So many connections are open."""
    detail = f"{most} connections are open, which is the limit. Nothing was done; try again."
    return Violation(503, detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


def half_a_request(
    asgi_version: str,
    scheme: str | None,
    server: tuple[str, int | None] | None,
    client: tuple[str, int] | None,
) -> dict[str, Any]:
    """The ASGI scope of a request whose head is not complete, so that the application can respond to it."""
    return {
        "type": "http",
        "asgi": {"version": asgi_version, "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "UNKNOWN",
        "scheme": scheme,
        "path": "",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "server": server,
        "client": client,
    }
