"""The state of an adoption (a row of `ops.adoptions`), and the names in its SQL statements."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, LiteralString

from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.audit import trail
from ops_pipeline.partitions.create import shortened
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.relation import Relation, TableName, our_table

AdoptionState = Literal["preparing", "copying", "swapped", "finished", "aborted"]

MIGRATION = "0009_adoptions"
"""The migration that creates what an adoption needs in our schema."""


class AdoptionError(Exception):
    """The adoption cannot continue; the old table is in place and complete. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """A row of `ops.adoptions`. `old`, `new`: the two tables' oids."""

    id: int
    table: TableName
    old: int
    new: int
    column: str
    time_zone: str | None
    first_day: date
    state: AdoptionState
    position: list[str] | None
    copied: int

    @property
    def changes(self) -> compose.Identifier:
        return our_table(f"adoption_{self.id}_changes").identifier

    @property
    def recorder(self) -> compose.Identifier:
        return our_table(f"adoption_{self.id}_record").identifier

    def copied_to(self, position: list[str] | None, rows: int) -> "Adoption":
        return replace(self, position=position, copied=self.copied + rows)

    def __str__(self) -> str:
        return self.table.qualified


@dataclass(frozen=True, slots=True)
class AdoptedColumn:
    """A column of the table. `key`: its position in the primary key."""

    name: str
    type: str
    key: int | None


def adoption_lock(table: TableName) -> str:
    """The name of the advisory lock of the session that works on that table's adoption."""
    return f"ops: adopt {table.qualified}"


def open_adoption(connection: Connection, table: TableName) -> Adoption | None:
    """The adoption of that table that has begun and not ended; None without one.

    It is found by the table's name at its beginning, because the table itself is replaced and may be dropped.
    """
    values = {"schema": table.schema, "name": table.name}
    columns = connection.execute(sql.get("partitions/adopt/find"), values).fetchone()
    if columns is None:
        return None
    adoption_id, *others = columns
    return Adoption(adoption_id, table, *others)


def advance(connection: Connection, adoption: Adoption, state: AdoptionState, **details: Any) -> Adoption:
    """Records that the adoption has reached that state, also in the audit log if that exists."""
    connection.execute(sql.get("partitions/adopt/advance"), {"id": adoption.id, "state": state})
    details = {"table": str(adoption), "adoption": adoption.id, **details}
    record_event(connection, f"table.adoption_{state}", details)
    return replace(adoption, state=state)


def record_event(connection: Connection, action: str, details: Mapping[str, Any]) -> None:
    """Records an audit event in the connection's transaction, or reports that the audit log does not exist.

    While the audit log itself is adopted, it lacks the columns that only the server sets.
    """
    if trail.is_there(connection):
        statement = sql.get("partitions/adopt/record_event")
    elif scalar(connection, sql.get("partitions/adopt/has_early_audit_log")):
        statement = sql.get("partitions/adopt/record_early_event")
    else:
        trail.say_unrecorded(connection, action)
        return
    connection.execute(statement, {"action": action, "details": Jsonb(dict(details))})


def relation(connection: Connection, oid: int) -> Relation:
    """The table with that oid and its current name. Raises AdoptionError when it does not exist."""
    existing = relation_of(connection, oid)
    if existing is None:
        raise AdoptionError(
            f"another session has dropped a table of the adoption (oid {oid}); the other table is "
            "unchanged. End the adoption with --abort"
        )
    return existing


def relation_of(connection: Connection, oid: int) -> Relation | None:
    """The table with that oid and its current name; None when it does not exist."""
    names = connection.execute(sql.get("partitions/adopt/identifier_of"), {"table": oid}).fetchone()
    return None if names is None else Relation(oid, *names)


class Statements:
    """The SQL statements of one adoption, with its table and column names inserted."""

    def __init__(self, connection: Connection, adoption: Adoption) -> None:
        rows = connection.execute(sql.get("partitions/adopt/columns"), {"table": adoption.old})
        columns = [AdoptedColumn(*row) for row in rows]
        self._adoption = adoption
        key_columns = [(column.key, column.name) for column in columns if column.key is not None]
        self.keys = [name for _, name in sorted(key_columns)]
        # As format_type writes them.
        self._types = {column.name: column.type for column in columns}
        recorded = [compose.Identifier(f"key {number}") for number, _ in enumerate(self.keys)]
        own = [compose.Identifier(key) for key in self.keys]
        keys_of_t = [compose.Identifier("t", key) for key in self.keys]
        pairs = list(zip(own, recorded, strict=True))
        self._parts: dict[str, compose.Composable] = {
            "old": relation(connection, adoption.old).identifier,
            "new": relation(connection, adoption.new).identifier,
            "changes": adoption.changes,
            "recorder": adoption.recorder,
            "column": compose.Identifier(adoption.column),
            "columns": _listed(compose.Identifier(name) for name in self._types),
            "columns_of_t": _listed(compose.Identifier("t", name) for name in self._types),
            "values": _listed(map(self._value, self._types)),
            "keys": _listed(recorded),
            "keys_of_t": _listed(keys_of_t),
            "old_keys": _listed(compose.SQL("OLD.{}").format(key) for key in own),
            "new_keys": _listed(compose.SQL("NEW.{}").format(key) for key in own),
            "named_keys": _listed(compose.SQL("{} AS {}").format(*pair) for pair in pairs),
            "same": _all(compose.SQL("n.{} = c.{}").format(*pair) for pair in pairs),
            "same_as_t": _all(compose.SQL("t.{} = c.{}").format(*pair) for pair in pairs),
            "moment": self._converted(compose.SQL("c.moment")),
            "order": _listed(keys_of_t),
            "descending": _listed(compose.SQL("{} DESC").format(key) for key in keys_of_t),
            "last": _listed(compose.SQL("{}::text").format(key) for key in keys_of_t),
        }

    def __call__(self, name: str, **parts: compose.Composable) -> compose.Composed:
        """The statement `partitions/adopt/<name>`."""
        return compose.SQL(sql.get(f"partitions/adopt/{name}")).format(**{**self._parts, **parts})

    def after(self, position: list[str] | None) -> compose.Composable:
        """The condition for rows whose primary key is greater than that position."""
        return compose.SQL("true") if position is None else self._bound(">", position)

    def between(self, position: list[str] | None, until: list[str] | None) -> compose.Composable:
        """The condition for rows whose primary key is greater than `position` and at most `until`."""
        upper = compose.SQL("true") if until is None else self._bound("<=", until)
        return _all([self.after(position), upper])

    def _bound(self, operator: LiteralString, place: list[str]) -> compose.Composed:
        values = (
            compose.SQL("{}::{}").format(
                compose.Literal(value),
                compose.SQL(self._types[key]),
            )
            for key, value in zip(self.keys, place, strict=True)
        )
        return compose.SQL("({}) {} ({})").format(
            self._parts["keys_of_t"], compose.SQL(operator), _listed(values)
        )

    def _value(self, name: str) -> compose.Composable:
        own = compose.Identifier("t", name)
        return self._converted(own) if name == self._adoption.column else own

    def _converted(self, moment: compose.Composable) -> compose.Composable:
        if self._adoption.time_zone is None:
            return moment
        return compose.SQL("({} AT TIME ZONE {})").format(moment, compose.Literal(self._adoption.time_zone))


def _listed(parts: Iterable[compose.Composable]) -> compose.Composed:
    return compose.SQL(", ").join(parts)


def _all(parts: Iterable[compose.Composable]) -> compose.Composed:
    return compose.SQL(" AND ").join(parts)


def run_all(connection: Connection, name: LiteralString, values: Mapping[str, Any]) -> None:
    """Runs the statements that a query returns: built from the catalogs and quoted by the server."""
    for (statement,) in connection.execute(sql.get(name), values).fetchall():
        connection.execute(statement.encode())


def numbered(name: str, suffix: str) -> list[str]:
    """Candidate names: that name with the suffix, then with the suffix and a number."""
    return [shortened(name, suffix), *(shortened(name, f"{suffix}_{number}") for number in range(2, 20))]


def free_name(connection: Connection, schema: str, *names: str) -> str:
    """The first of those names that is free in the schema. Raises AdoptionError when none is."""
    values = {"names": list(names), "schema": schema}
    free = connection.execute(sql.get("partitions/free_name"), values).fetchone()
    if free is None:
        raise AdoptionError(
            f"the names {', '.join(names)} are all taken in schema {schema}; rename one of these relations"
        )
    return str(free[0])


def waiting(connection: Connection, statements: Statements) -> int:
    """How many recorded changes are not applied to the new table yet."""
    (count,) = row(connection, statements("waiting"))
    return int(count)
