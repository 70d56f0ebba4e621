"""The identity of a policy, from which its label, asset key, step name and locks are derived."""

import hashlib
import re
from dataclasses import dataclass

from ops_pipeline.postgres.relation import TableName, quoted

PLAIN = re.compile(r"(?![0-9a-f]{8}$)[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*")
"""Words that stay unambiguous when joined by two underscores; eight hexadecimal digits are the suffix that
`plain` adds."""
ASSET_KEY_PART = re.compile(r"(?!.*__[0-9a-f]{8}$)[A-Za-z0-9_.]+")
"""Texts that Dagster can derive names from, except texts that `plain` could have written."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What identifies a policy, independent of the other entries of the file.

    A retention policy is identified by its table, an orphans policy by its table and columns, VACUUM by its
    database. `name` distinguishes policies that would otherwise have the same identity.
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
        the policy's run history, and part of the names of its locks.
        """
        return "/".join(self._parts)

    @property
    def path(self) -> tuple[str, ...]:
        """The asset key: the label's parts, in characters that Dagster accepts."""
        return tuple(map(asset_key_part, self._parts))

    @property
    def op_name(self) -> str:
        """The name of the policy's Dagster step: `app__orphans__memories__session_id`.

        Dagster only accepts letters, digits and underscores.
        """
        table = () if self.table is None else (str(self.table),)
        name = () if self.name is None else (f":{self.name}",)
        return "__".join(map(plain, (self.database, self.kind, *table, *self.columns, *name)))

    @property
    def subject(self) -> str:
        """What the policy works on: `sessions`, `memories.session_id`, `sessions:short`; "" is the
        database."""
        if self.table is None:
            return ""
        columns = f".{','.join(map(quoted, self.columns))}" if self.columns else ""
        return f"{self.table}{columns}" + (f":{self.name}" if self.name else "")

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(part for part in (self.database, self.kind, self.subject) if part)


def asset_key_part(text: str) -> str:
    """The text as a part of an asset key; `plain` replaces characters that Dagster does not accept."""
    return text if ASSET_KEY_PART.fullmatch(text) else plain(text)


def plain(text: str) -> str:
    """The text in letters, digits and underscores; if that changes it, part of its SHA-256 is appended."""
    if PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', text).strip('_')}__{digest}"
