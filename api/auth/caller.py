"""The key of a request."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """The key of a request; a handler finds it as `request.state["key"]`."""

    id: UUID
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key has that scope; `admin` has all."""
        return scope in self.scopes or "admin" in self.scopes
