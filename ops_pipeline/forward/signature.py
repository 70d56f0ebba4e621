"""Signs requests as the Standard Webhooks specification 1.0 has it, with a symmetric secret."""

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def signed(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a request. `timestamp`: of this attempt, in seconds since the epoch.

    `secret` has been checked by the settings: `whsec_` and the key in base64. A receiver computes HMAC-SHA256
    of `{id}.{timestamp}.{body}` and refuses old timestamps, which an attacker may have recorded.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {**unsigned(message_id, timestamp), "webhook-signature": f"v1,{signature}"}


def unsigned(message_id: str, timestamp: int) -> dict[str, str]:
    """The headers of a request that is not signed."""
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}


def id_of(body: bytes) -> str:
    """The id of a batch: the same for the same events, so that a receiver can recognize one sent again."""
    return f"batch_{hashlib.sha256(body).hexdigest()[:32]}"
