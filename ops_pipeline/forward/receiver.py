"""Posts a batch to the receiver, once, and says what its answer means."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Literal, Self

import httpx

from ops_pipeline.forward.position import ForwardError
from ops_pipeline.forward.signature import id_of, signed, unsigned
from ops_pipeline.forward.target import ForwardRefusedError, Target
from ops_pipeline.receiver_answer import quoted

TIMEOUT_SECONDS = 30.0
CONNECT_SECONDS = 5.0
LONGEST_ANSWER = 64 * 1024
TRY_AGAIN = {408, 425, 429}
"""The statuses besides 5xx after which the same request may succeed later."""
CONTENT = {400, 413, 422}
"""The statuses that may be about one event, or the size of the batch."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch: `later` may succeed with the same content, `smaller` with less of it.

    `pause`: the seconds that the receiver asks to wait.
    """

    kind: Literal["delivered", "later", "smaller"]
    reason: str = ""
    pause: float = 0.0
    too_large: bool = False


class Receiver:
    """A target's HTTP endpoint. No error and no log shows more of its address than the host.

    `header`: one header, `Name: value`, such as a token; `secret`: the key of signatures. TLS is verified
    with the certificates of certifi, or of SSL_CERT_FILE or SSL_CERT_DIR. Raises ForwardRefusedError when
    they cannot be read.
    """

    def __init__(
        self,
        target: Target,
        *,
        header: str | None = None,
        secret: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._target = target
        self._secret = secret
        self._clock = clock
        name, _, value = (header or "").partition(":")
        self._hidden = [value.strip(), secret or ""]
        headers = {"Content-Type": "application/x-ndjson", "Accept-Encoding": "identity"}
        if name:
            headers[name.strip()] = value.strip()
        try:
            self._http = httpx.Client(
                headers=headers, timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
            )
        except OSError as error:
            raise ForwardRefusedError(
                f"SSL_CERT_FILE: the certificates cannot be read ({error.strerror or error})"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def post(self, body: bytes) -> Outcome:
        """Posts it once. Raises ForwardError where no later try with any content would help."""
        message_id, timestamp = id_of(body), int(self._clock())
        headers = (
            signed(self._secret, message_id, timestamp, body)
            if self._secret is not None
            else unsigned(message_id, timestamp)
        )
        host = self._target.host
        try:
            with self._http.stream("POST", self._target.url, content=body, headers=headers) as answer:
                status, said = answer.status_code, self._read(answer)
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}{quoted(str(error), self._target.url, *self._hidden)}"
            return Outcome("later", f"{host} does not answer ({reason})")
        if 200 <= status < 300:
            return Outcome("delivered")
        reason = f"{host} answered {status}{quoted(said, self._target.url, *self._hidden)}"
        if status >= 500 or status in TRY_AGAIN:
            return Outcome("later", reason, self._pause(answer.headers.get("Retry-After", "")))
        if status in CONTENT:
            return Outcome("smaller", reason, too_large=status == 413)
        raise ForwardError(f"{self._target.name}: {reason}. {_advice(status)}")

    def _read(self, answer: httpx.Response) -> str:
        """The beginning of the answer. A success needs none of it."""
        content = b""
        with suppress(httpx.HTTPError):  # the status is there, which says what became of the batch
            for part in answer.iter_bytes():
                content += part
                if len(content) > LONGEST_ANSWER:
                    break
        return content[:LONGEST_ANSWER].decode(errors="replace")

    def _pause(self, retry_after: str) -> float:
        if retry_after.isascii() and retry_after.isdigit():
            return float(retry_after[:9])
        with suppress(ValueError):
            at = parsedate_to_datetime(retry_after)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            return max(0.0, (at - datetime.fromtimestamp(self._clock(), UTC)).total_seconds())
        return 0.0


def _advice(status: int) -> str:
    kept = "Nothing was skipped: correct that, and start it again"
    if 300 <= status < 400:
        return f"That is a redirect, and redirects are not followed: the address is wrong. {kept}"
    if status in {401, 403}:
        return f"The token in OPS_FORWARD_HEADER is missing, wrong or not permitted to do this. {kept}"
    return f"It will not accept this request later either. {kept}"
