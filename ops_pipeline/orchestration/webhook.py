"""Posts messages to OPS_WEBHOOK_URL, as JSON or as a Slack message."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from ops_pipeline.diagnosis.webhook import WebhookError
from ops_pipeline.orchestration import delivery
from ops_pipeline.settings import Settings

Format = Literal["json", "slack"]

URL = "OPS_WEBHOOK_URL"
TEST = "Test of Ops Pipeline's webhook: this is where runs are reported. No action is required."
LONGEST_SECTION = 3000
"""Slack refuses a longer one."""


class Message(Protocol):
    """What the webhook can post."""

    @property
    def headline(self) -> str:
        """One line."""

    @property
    def sections(self) -> Sequence[tuple[str, str]]:
        """The parts of the message for a person: title and text."""

    @property
    def link(self) -> tuple[str, str]:
        """The address that shows more, and its name."""

    def as_json(self) -> Mapping[str, Any]:
        """The message for a program."""


def post(settings: Settings, message: Message) -> None:
    """Posts the message, where OPS_WEBHOOK_URL is set, and retries with exponential backoff.

    Raises delivery.UndeliveredError when all tries fail, and delivery.RefusedError when no later try would
    help.
    """
    if settings.webhook_url is not None:
        body = slack(message) if _format(settings) == "slack" else message.as_json()
        delivery.send(URL, settings.webhook_url, body)


def post_test(settings: Settings) -> None:
    """Posts a test message to OPS_WEBHOOK_URL. Raises WebhookError, whose text does not contain the URL."""
    body = {"text": TEST} if _format(settings) == "slack" else {"event": "test", "headline": TEST}
    try:
        delivery.send(URL, settings.webhook_url or "", body, attempts=1)
    except (delivery.UndeliveredError, delivery.RefusedError) as error:
        raise WebhookError(str(error)) from None


def format_of(url: str) -> Format:
    """The format that the receiver at that URL expects, by its host."""
    host = urlsplit(url).hostname or ""
    return "slack" if host in {"hooks.slack.com", "hooks.slack-gov.com"} else "json"


def slack(message: Message) -> Mapping[str, Any]:
    """The message for Slack's incoming webhook (Block Kit); a notification shows `text`."""
    address, name = message.link
    texts = [f"*{_plain(message.headline)}*"]
    texts += [f"*{_plain(title)}*\n{_plain(text)}" for title, text in message.sections]
    texts.append(f"<{address}|{_plain(name)}>")
    return {
        "text": _plain(message.headline),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text[:LONGEST_SECTION]}} for text in texts
        ],
    }


def _format(settings: Settings) -> Format:
    return settings.webhook_format or format_of(settings.webhook_url or "")


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
