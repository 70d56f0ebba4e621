"""Posts a failed run to the webhook, as JSON or as a Slack message."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import stamina

from ops_pipeline.orchestration.failure import Failure

Format = Literal["json", "slack"]

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
    body = slack(failure) if (wanted or format_of(url)) == "slack" else failure.as_json()
    for attempt in stamina.retry_context(
        on=_may_pass, attempts=TRIES, timeout=20.0, wait_initial=FIRST_PAUSE_SECONDS, wait_max=4.0
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
