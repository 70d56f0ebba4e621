"""Docker's health check: exits with 0 when the API in this container is alive."""

import http.client
import os
import sys

# Not urllib: it would use a proxy set in the environment.
connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("OPS_API_PORT") or 8000), timeout=5)
try:
    connection.request("GET", "/health/live")
    status = connection.getresponse().status
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"/health/live does not answer: {error}")
sys.exit(None if status == 200 else f"/health/live answers {status}")
