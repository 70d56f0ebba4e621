"""Sends HTTP requests to addresses that are secrets: no error and no log contains them."""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import stamina

from ops_pipeline.receiver_answer import quoted

TRIES = 4
FIRST_WAIT_SECONDS = 0.5
TIMEOUT_SECONDS = 5.0
TRY_AGAIN = {408, 425, 429}
"""The responses besides 5xx after which a later try may succeed."""

# They log the whole address of each request, and of a redirect.
for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.WARNING)


class UndeliveredError(Exception):
    """The receiver is down or too busy; a later try may succeed."""


class RefusedError(Exception):
    """The receiver refuses the request and will not accept it later: the address or the format is wrong."""


def send(variable: str, url: str, body: Mapping[str, Any] | None = None, *, attempts: int = TRIES) -> None:
    """Posts the body as JSON, without one gets the address, and retries with exponential backoff.

    `variable`: the setting that has the address, for messages. Raises UndeliveredError when all tries fail,
    and RefusedError when no later try would help, also for a redirect, which is never followed.
    """
    for attempt in stamina.retry_context(
        on=UndeliveredError, attempts=attempts, timeout=20.0, wait_initial=FIRST_WAIT_SECONDS, wait_max=4.0
    ):
        with attempt:
            _try(variable, url, body)


def _try(variable: str, url: str, body: Mapping[str, Any] | None) -> None:
    host = urlsplit(url).hostname
    try:
        if body is None:
            answer = httpx.get(url, timeout=TIMEOUT_SECONDS)
        else:
            answer = httpx.post(url, json=body, timeout=TIMEOUT_SECONDS)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
        # The last one is of a host that cannot be encoded; its text has the host, or more.
        raise RefusedError(f"{variable} is not a web address") from None
    except httpx.HTTPError as error:
        reason = f"{host}, the host of {variable}, does not answer ({type(error).__name__})"
        raise UndeliveredError(reason) from None
    status = answer.status_code
    if 300 <= status < 400:
        raise RefusedError(
            f"{host} answered {status}, a redirect: {variable} is wrong. Set it to the address that the "
            "receiver shows; redirects are not followed"
        )
    if 400 <= status < 500 and status not in TRY_AGAIN:
        raise RefusedError(f"{host} refused what was sent to {variable} ({status}{quoted(answer.text, url)})")
    if status >= 400:
        raise UndeliveredError(f"{host}, the host of {variable}, answered {status}")
