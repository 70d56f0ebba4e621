"""Every log line is structured, names its request, and contains no secret."""

import io
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from api.process import logs
from api.process.redaction import Redaction
from ops_pipeline.access.keys import PREFIX
from tests.integration.api.process import Api

KEY = PREFIX + "k" * 43
SECRETS = ("s3cret/pass", "s3cret%2Fpass", "t0ken-of-theirs", "cache-pass", KEY)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log of this process."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    before, hook, handlers = structlog.get_config(), sys.excepthook, logging.root.handlers[:]
    monkeypatch.setattr(logs, "_redaction", Redaction())
    logs.configure()
    structlog.configure(cache_logger_on_first_use=False)
    yield output
    structlog.configure(**before)
    logs._request_log.stream = None  # noqa: SLF001 - as before
    logging.root.handlers[:] = handlers
    logging.captureWarnings(capture=False)
    sys.excepthook = hook


def lines(text: str) -> list[dict[str, Any]]:
    """The lines, each of which must be JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_warnings_of_libraries_are_structured_lines(written: io.StringIO) -> None:
    logging.getLogger("psycopg.pool").warning("error connecting in %r: %s", "api", "refused")
    logging.getLogger("httpx").info("HTTP Request: GET http://them/?token=x")
    mine = logs.request_id.set("mine")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=ValueError("odd"))
    logs.request_id.reset(mine)
    warnings.warn("soon gone", DeprecationWarning, stacklevel=1)

    pool, failed, *rest = lines(written.getvalue())
    assert (pool["event"], pool["logger"], pool["level"]) == (
        "error connecting in 'api': refused", "psycopg.pool", "warning"
    )  # fmt: skip
    assert failed["request_id"] == "mine"
    assert failed["exception"][0]["exc_value"] == "odd"
    assert all(each["logger"] == "py.warnings" for each in rest)


def test_the_line_of_a_request_has_the_form_of_the_others_and_no_secret(written: io.StringIO) -> None:
    structlog.get_logger().info("ready")
    logs.log_request(logs.RequestLine(KEY, "GET", "/health/full", 503, 1.25, None))

    other, line = lines(written.getvalue())
    assert line.keys() == {*other, "request_id", "method", "route", "status", "ms", "peer"}
    assert (line["event"], line["level"], line["ms"], line["peer"]) == ("request", "info", 1.25, None)
    assert line["request_id"] == "[hidden]"
    assert re.sub(r"\d", "0", line["timestamp"]) == re.sub(r"\d", "0", other["timestamp"])


def test_an_uncaught_exception_is_a_structured_line(written: io.StringIO) -> None:
    sys.excepthook(ValueError, ValueError("odd"), None)

    (line,) = lines(written.getvalue())
    assert (line["event"], line["level"]) == ("uncaught", "critical")
    assert line["exception"][0]["exc_value"] == "odd"


def test_no_secret_is_in_a_message_a_traceback_or_a_line_of_a_library(written: io.StringIO) -> None:
    database = "postgresql://me:s3cret%2Fpass@db/app"
    logs.hide([database, "redis://:cache-pass@cache", "https://them/?token=t0ken-of-theirs", None, "plain"])
    log = structlog.get_logger()

    log.info("asked", header=f"Bearer {KEY}", url="postgresql://other:unknown-pass@elsewhere/db")
    log.error("failed", exc_info=ValueError("cannot reach s3cret/pass"))
    logging.getLogger("redis").warning("AUTH cache-pass failed for %s", database)
    log.info("got", url="https://them/?token=t0ken-of-theirs")

    text = written.getvalue()
    assert len(lines(text)) == 4
    assert not [secret for secret in (*SECRETS, "unknown-pass") if secret in text]
    assert "them/?token=[hidden]" in text


def test_a_process_that_fails_says_so_without_a_secret(tmp_path: Path) -> None:
    api = Api.start(
        tmp_path,
        "postgresql://me:s3cret%2Fpass@127.0.0.1:1/app",
        OPS_CACHE_URL="redis://:cache-pass@127.0.0.1:1",
        OPS_EXTERNAL_API_URL="http://127.0.0.1:1/?token=t0ken-of-theirs",
    )
    headers = {"Authorization": f"Bearer {KEY}"}
    asked = api.get("/api/admin/audit-logs", headers=headers)
    found = api.get("/health/full?verbose", headers=headers)
    api.until(lambda: "psycopg.pool" in api.log.read_text())
    assert api.stop() == 0

    text = api.log.read_text()
    requests = [line for line in lines(text) if line["event"] == "request"]
    assert asked.status_code == found.status_code == 503
    assert asked.headers["x-request-id"] in [line["request_id"] for line in requests]
    unavailable = [line for line in lines(text) if line["event"] == "database unavailable"]
    assert [line["request_id"] for line in unavailable] == [asked.headers["x-request-id"]]
    assert not [secret for secret in SECRETS if secret in text + asked.text + found.text]
