"""The key of a request."""

from dataclasses import dataclass
from uuid import UUID

from litestar.types import Scope

KEY = "key"


@dataclass(frozen=True, slots=True)
class Caller:
    """The key of a request; a handler gets it with `caller_of`."""

    id: UUID
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key has that scope; `admin` has all."""
        return scope in self.scopes or "admin" in self.scopes


def remember(scope: Scope, caller: Caller) -> None:
    """The request's key was checked."""
    scope["state"][KEY] = caller


def caller_of(scope: Scope) -> Caller:
    """The checked key of a request."""
    caller: Caller = scope["state"][KEY]
    return caller
