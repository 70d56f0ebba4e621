"""Names of tables, and the relations they refer to, identified by oid."""

import re
from dataclasses import dataclass
from typing import Self

from psycopg import sql as compose

import sql
from ops_pipeline.nearest import nearest
from ops_pipeline.postgres.connection import Connection
from sql.schema_names import configured

PUBLIC = "public"
AUDIT_LOGS = "audit_logs"
PLAIN = re.compile(r"[^\W\d]\w*")
"""A name that is shown without quotes; letters of any alphabet are plain."""
PART = re.compile(r'"(?:[^"]|"")+"|[^".][^.]*')


class AmbiguousTableError(ValueError):
    """The unqualified name could mean the audit log or the application's table; the message has both
    names."""


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table's schema and name, exactly as in pg_namespace and pg_class."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """`sessions`, `billing.invoices`, `"a.b"."c d"`: unqualified means the schema public.

        Names are literal: case, spaces and inner quotes are significant. Double quotes around a name, as in
        SQL, are only required when it has a dot or begins with a quote. `audit_logs` unqualified means the
        audit log; it is ambiguous when that is not in public. Raises ValueError.
        """
        parts = split_name(text)
        if len(parts) > 2:
            raise ValueError(
                f"{text!r} is not a valid table name: write table or schema.table; put a name with a dot in "
                f"quotes"
            )
        return cls.of(parts)

    @classmethod
    def of(cls, parts: list[str]) -> Self:
        """The table of a name, or of schema and name. Raises AmbiguousTableError."""
        table = cls(*([PUBLIC, *parts][-2:]))
        if len(parts) == 1 and table._is_ambiguous():
            raise AmbiguousTableError(
                f"{table.name} is ambiguous, because OPS_AUDIT_LOG_SCHEMA is set: write {audit_logs()} for "
                f"the audit log, or {table} for the application's table of that name"
            )
        return table

    def _is_ambiguous(self) -> bool:
        """Whether the unqualified name could be mistaken for the audit log in another schema."""
        return self == TableName(PUBLIC, AUDIT_LOGS) and configured().audit_log_schema != PUBLIC

    @property
    def identifier(self) -> compose.Identifier:
        return compose.Identifier(self.schema, self.name)

    @property
    def qualified(self) -> str:
        """`schema.table`, quoted where necessary."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def __str__(self) -> str:
        return quoted(self.name) if self.schema == PUBLIC and not self._is_ambiguous() else self.qualified


def audit_logs() -> TableName:
    """The audit log's table, in the schema of `OPS_AUDIT_LOG_SCHEMA`."""
    return TableName(configured().audit_log_schema, AUDIT_LOGS)


def our_table(name: str) -> TableName:
    """One of our tables, in the schema of `OPS_SCHEMA`."""
    return TableName(configured().own_schema, name)


@dataclass(frozen=True, slots=True)
class Relation:
    """An existing table, identified by its oid."""

    oid: int
    schema: str
    name: str

    @property
    def table_name(self) -> TableName:
        return TableName(self.schema, self.name)

    @property
    def identifier(self) -> compose.Identifier:
        return self.table_name.identifier

    def __str__(self) -> str:
        return self.table_name.qualified


def find_relation(connection: Connection, table: TableName) -> Relation:
    """The table of that name. Raises LookupError, which names similar tables."""
    values = {"schema": table.schema, "name": table.name}
    relation = connection.execute(sql.get("postgres/relation"), values).fetchone()
    if relation is None:
        tables = [str(TableName(*names)) for names in connection.execute(sql.get("postgres/tables"))]
        raise LookupError(f'table "{table}" does not exist; {nearest(str(table), tables)}')
    return Relation(*relation)


def split_name(text: str) -> list[str]:
    """The parts of a dotted name; a part in double quotes may contain dots. Raises ValueError."""
    parts = PART.findall(text)
    names = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts]
    if not names or ".".join(parts) != text or not all(map(str.strip, names)):
        raise ValueError(f"{text!r} is not a name")
    return names


def quoted(name: str) -> str:
    """The name, in double quotes unless it is a plain word."""
    return name if PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'
