"""A webhook that does not accept a test message."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation, NotAskedError
from ops_pipeline.finding import Finding


class WebhookError(Exception):
    """The webhook did not accept a message; the text says why, without the URL, which is a secret."""


def _look(installation: Installation) -> Iterator[Finding]:
    if installation.settings.webhook_url is None:
        raise NotAskedError("OPS_WEBHOOK_URL is not set; failed runs are only recorded in the audit log")
    if installation.send_test is None:
        raise NotAskedError("to post a test message: opsctl doctor --send-test")
    try:
        installation.send_test()
    except WebhookError as error:
        yield Finding(
            "OPS_WEBHOOK_URL",
            f"{error}. Failed runs are recorded in the audit log only. Correct it, then send another test",
            ("opsctl doctor --send-test",),
        )


WEBHOOK = Diagnosis(
    id="webhook",
    severity="error",
    question="Does the webhook accept a test message?",
    remedy="Correct `OPS_WEBHOOK_URL` or `OPS_WEBHOOK_FORMAT`, then run `opsctl doctor --send-test`.",
    look=_look,
)
