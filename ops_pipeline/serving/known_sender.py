"""Records on a connection that the application knows who has sent its request."""

from collections.abc import Mapping
from typing import Any

KNOWN = "known"
"""The key in a request's `state` of the function to call then."""


def tell(scope: Mapping[str, Any]) -> None:
    """The request's sender is known, and what they have in use is counted.

    From now on the connection stays open while the body is outstanding; before, it gives way to newer ones,
    as it does while the head is outstanding.
    """
    if (known := scope.get("state", {}).get(KNOWN)) is not None:
        known()
