"""Posts a failed run to the webhook, as JSON or as a Slack message."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import stamina

from ops_pipeline.diagnosis.webhook import WebhookError
from ops_pipeline.orchestration.failure import Failure
from ops_pipeline.settings import Settings

Format = Literal["json", "slack"]

TEST = "Test of Ops Pipeline's webhook: this is where failed runs are reported. No action is required."
TRIES = 4
FIRST_PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 5.0
TRY_AGAIN = {408, 425, 429}
"""The responses besides 5xx after which a later try may succeed."""


class RefusedError(Exception):
    """The receiver refuses the message and will not accept it later: the URL or the format is wrong."""


def post(url: str, failure: Failure, wanted: Format | None) -> None:
    """Posts the failure, and retries with growing pauses while the receiver is down or too busy.

    `wanted` None: Slack's format for a Slack host, JSON for any other. Raises httpx.HTTPError when all
    tries fail, and RefusedError when no later try would help.
    """
    _send(url, slack(failure) if (wanted or format_of(url)) == "slack" else failure.as_json())


def post_test(settings: Settings) -> None:
    """Posts a test message to OPS_WEBHOOK_URL. Raises WebhookError, whose text does not contain the URL."""
    url = settings.webhook_url or ""
    as_slack = (settings.webhook_format or format_of(url)) == "slack"
    try:
        _send(url, {"text": TEST} if as_slack else {"event": "test", "headline": TEST}, attempts=1)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise WebhookError(f"{urlsplit(url).hostname} answered {status} to the test message") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        host = urlsplit(url).hostname or "the host"
        raise WebhookError(f"{host} does not answer ({type(error).__name__})") from None
    except RefusedError as error:
        raise WebhookError(str(error)) from None


def _send(url: str, body: Mapping[str, Any], *, attempts: int = TRIES) -> None:
    for attempt in stamina.retry_context(
        on=_may_pass, attempts=attempts, timeout=20.0, wait_initial=FIRST_PAUSE_SECONDS, wait_max=4.0
    ):
        with attempt:
            answer = httpx.post(url, json=body, timeout=TIMEOUT_SECONDS)
            if 400 <= answer.status_code < 500 and answer.status_code not in TRY_AGAIN:
                raise RefusedError(
                    f"{urlsplit(url).hostname} refused the message posted to OPS_WEBHOOK_URL "
                    f"({answer.status_code}: {answer.text[:200]})"
                )
            answer.raise_for_status()


def format_of(url: str) -> Format:
    """The format that the receiver at that URL expects, by its host."""
    host = urlsplit(url).hostname or ""
    return "slack" if host in {"hooks.slack.com", "hooks.slack-gov.com"} else "json"


def slack(failure: Failure) -> Mapping[str, Any]:
    """The message for Slack's incoming webhook (Block Kit); a notification shows `text`."""
    failed = "\n".join(f"• *{_plain(step.step)}*: {_plain(step.reason)}" for step in failure.steps)
    sections = [
        f"*{_plain(failure.headline)}*\n{failed}",
        f"*What is safe*\n{_plain(failure.safe)}",
        f"*What to do*\n{_plain(failure.do)}\n<{failure.url}|The run in Dagster>",
    ]
    return {
        "text": _plain(failure.headline),
        "blocks": [
            # Slack refuses a section of more than 3,000 characters.
            {"type": "section", "text": {"type": "mrkdwn", "text": section[:3000]}}
            for section in sections
        ],
    }


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _may_pass(error: Exception) -> bool:
    return isinstance(error, httpx.HTTPError)
