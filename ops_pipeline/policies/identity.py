"""Which policy is meant: one name for people, history, locks and Dagster, unique by construction."""

import hashlib
import re
from dataclasses import dataclass

from ops_pipeline.postgres.relation import TableName, quoted

PLAIN = re.compile(r"(?!.*_checks$|[0-9a-f]{8}$)[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*")
"""Words that can be told apart again once two underscores join them; `_checks` is the step of the checks,
and eight hexadecimal digits are what `plain` adds."""
ASSET_KEY_PART = re.compile(r"(?!.*__[0-9a-f]{8}$)[A-Za-z0-9_.]+")
"""What Dagster can make names of its own from; and nothing that `plain` would have written."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A policy's kind, what it is about, and nothing that another entry of the file could change.

    A retention is its table, an orphans policy its table and columns, VACUUM its database. `name` tells
    policies apart that would otherwise be the same.
    """

    database: str
    kind: str
    table: TableName | None = None
    columns: tuple[str, ...] = ()
    name: str | None = None

    @property
    def label(self) -> str:
        """`app/retention/sessions`, `app/orphans/memories.session_id`, `app/vacuum`.

        Names that are not plain are quoted as in SQL, so two policies never share a label. It is the key of
        the policy's history, and part of the names of its locks.
        """
        return "/".join(self._parts)

    @property
    def path(self) -> tuple[str, ...]:
        """The asset key: the label's parts, as far as Dagster takes them."""
        return tuple(map(asset_key_part, self._parts))

    @property
    def op_name(self) -> str:
        """The name of the policy's step: `app__orphans__memories__session_id`.

        Dagster takes letters, digits and underscores only.
        """
        table = () if self.table is None else (str(self.table),)
        name = () if self.name is None else (f":{self.name}",)
        return "__".join(map(plain, (self.database, self.kind, *table, *self.columns, *name)))

    @property
    def subject(self) -> str:
        """What the policy is about: `sessions`, `memories.session_id`, `sessions:short`; "" is all of it."""
        if self.table is None:
            return ""
        columns = f".{','.join(map(quoted, self.columns))}" if self.columns else ""
        return f"{self.table}{columns}" + (f":{self.name}" if self.name else "")

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(part for part in (self.database, self.kind, self.subject) if part)


def asset_key_part(text: str) -> str:
    """The text as a part of an asset key; see `plain` for what Dagster cannot have."""
    return text if ASSET_KEY_PART.fullmatch(text) else plain(text)


def plain(text: str) -> str:
    """The text in letters, digits and underscores; what loses something gets a part of its SHA-256."""
    if PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', text).strip('_')}__{digest}"
