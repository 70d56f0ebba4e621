"""The responses to clients that exceed a limit of their connection."""

from typing import Any

from api.problems import RETRY_AFTER_SECONDS, Problem


def too_large(limit: str) -> Problem:
    """The head exceeds that limit."""
    return Problem(431, f"The request line and headers exceed {limit}. Nothing was stored; send less.")


def too_slow(part: str, how: str) -> Problem:
    """A part of the request took too long."""
    return Problem(408, f"The request's {part} {how}. Nothing was stored; send the request again.")


def too_many(most: int) -> Problem:
    """So many connections are open."""
    detail = f"{most} connections are open, which is the limit. Nothing was stored; try again."
    return Problem(503, detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


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
