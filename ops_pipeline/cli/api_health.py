"""Asks the API of this machine how it is."""

import http.client
import json
from dataclasses import dataclass

from ops_pipeline.settings import Settings

ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ApiHealth:
    """The answer of `/health/full`: healthy, degraded or unhealthy, and the names of the failed checks."""

    url: str
    status: str
    failed: tuple[str, ...] = ()


def api_health(settings: Settings) -> ApiHealth:
    """The health of the API at `OPS_API_HOST` and `OPS_API_PORT`; that it does not answer is a status too."""
    url = f"http://{settings.api_host}:{settings.api_port}"
    connection = http.client.HTTPConnection(settings.api_host, settings.api_port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/full")
        full = json.loads(connection.getresponse().read())
        failed = [name for name, check in full["checks"].items() if check["status"] == "error"]
        return ApiHealth(url, full["status"], tuple(failed))
    except (OSError, http.client.HTTPException):
        return ApiHealth(url, "does not answer")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiHealth(url, "another program answers; check OPS_API_HOST and OPS_API_PORT")
    finally:
        connection.close()
