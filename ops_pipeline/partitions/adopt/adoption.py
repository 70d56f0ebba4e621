"""An adoption that has begun: where it stands, and the names in its statements."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, LiteralString

from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.relation import Relation

State = Literal["preparing", "copying", "swapped", "finished", "aborted"]

MIGRATION = "0009_adoptions"
"""All that an adoption needs of our own tables."""


class AdoptionError(Exception):
    """The adoption could not go on; the old table is in place and whole. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """A row of `ops.adoptions`. `old`, `new`: the two tables' oids."""

    id: int
    schema: str
    name: str
    old: int
    new: int
    column: str
    time_zone: str | None
    first_day: date
    state: State
    position: list[str] | None
    copied: int

    @property
    def changes(self) -> compose.Identifier:
        return compose.Identifier("ops", f"adoption_{self.id}_changes")

    @property
    def note(self) -> compose.Identifier:
        return compose.Identifier("ops", f"adoption_{self.id}_note")

    def at(self, position: list[str] | None, rows: int) -> "Adoption":
        return replace(self, position=position, copied=self.copied + rows)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a row is made of. `key`: its place in the primary key."""

    name: str
    type: str
    key: int | None


def find(connection: Connection, schema: str, name: str) -> Adoption | None:
    """The adoption of that table which has begun and not ended."""
    values = {"schema": schema, "name": name}
    found = connection.execute(sql.get("partitions/adopt/find"), values).fetchone()
    return None if found is None else Adoption(*found)


def advance(connection: Connection, adoption: Adoption, state: State, **details: Any) -> Adoption:
    """Notes that the adoption has come to that state, also in the audit log, where there is one."""
    connection.execute(sql.get("partitions/adopt/advance"), {"id": adoption.id, "state": state})
    account(
        connection, f"table.adoption_{state}", {"table": str(adoption), "adoption": adoption.id, **details}
    )
    return replace(adoption, state=state)


def account(connection: Connection, action: str, details: Mapping[str, Any]) -> None:
    """Stores an audit event, in whatever transaction the connection is in, where there is an audit log."""
    if scalar(connection, sql.get("partitions/adopt/accountable")):
        connection.execute(
            sql.get("partitions/adopt/account"), {"action": action, "details": Jsonb(dict(details))}
        )


def relation(connection: Connection, oid: int) -> Relation:
    """The table of that oid, by its present name. Raises AdoptionError when it is gone."""
    found = connection.execute(sql.get("partitions/adopt/identifier_of"), {"table": oid}).fetchone()
    if found is None:
        raise AdoptionError(
            f"a table of the adoption (oid {oid}) has been dropped by somebody else; "
            "the other one is untouched. End the adoption with --abort"
        )
    return Relation(oid, *found)


class Statements:
    """Fills the names of one adoption into its statements."""

    def __init__(self, connection: Connection, adoption: Adoption) -> None:
        rows = connection.execute(sql.get("partitions/adopt/columns"), {"table": adoption.old})
        self.columns = [Column(*each) for each in rows]
        self._adoption = adoption
        keys = sorted((each for each in self.columns if each.key is not None), key=lambda each: each.key or 0)
        self.keys = [each.name for each in keys]
        # As format_type writes them.
        self._types = {each.name: each.type for each in self.columns}
        noted = [compose.Identifier(f"key {number}") for number, _ in enumerate(self.keys)]
        own = [compose.Identifier(each) for each in self.keys]
        self._parts: dict[str, compose.Composable] = {
            "old": relation(connection, adoption.old).identifier,
            "new": relation(connection, adoption.new).identifier,
            "changes": adoption.changes,
            "note": adoption.note,
            "column": compose.Identifier(adoption.column),
            "columns": _listed(compose.Identifier(each.name) for each in self.columns),
            "columns_of_t": _listed(compose.Identifier("t", each.name) for each in self.columns),
            "values": _listed(self._value(each.name) for each in self.columns),
            "keys": _listed(noted),
            "keys_of_t": _listed(compose.Identifier("t", each) for each in self.keys),
            "old_keys": _listed(compose.SQL("OLD.{}").format(each) for each in own),
            "new_keys": _listed(compose.SQL("NEW.{}").format(each) for each in own),
            "named_keys": _listed(
                compose.SQL("{} AS {}").format(key, name) for key, name in zip(own, noted, strict=True)
            ),
            "same": _all(
                compose.SQL("n.{} = c.{}").format(key, name) for key, name in zip(own, noted, strict=True)
            ),
            "same_as_t": _all(
                compose.SQL("t.{} = c.{}").format(key, name) for key, name in zip(own, noted, strict=True)
            ),
            "moment": self._converted(compose.SQL("c.moment")),
            "order": _listed(compose.Identifier("t", each) for each in self.keys),
            "descending": _listed(
                compose.SQL("{} DESC").format(compose.Identifier("t", each)) for each in self.keys
            ),
            "last": _listed(
                compose.SQL("{}::text").format(compose.Identifier("t", each)) for each in self.keys
            ),
        }

    def __call__(self, name: str, **parts: compose.Composable) -> compose.Composed:
        """The statement `adopt/<name>`."""
        return compose.SQL(sql.get(f"partitions/adopt/{name}")).format(**{**self._parts, **parts})

    def after(self, position: list[str] | None) -> compose.Composable:
        """The condition for rows whose primary key follows that place."""
        return compose.SQL("true") if position is None else self._bound(">", position)

    def between(self, position: list[str] | None, until: list[str] | None) -> compose.Composable:
        """The condition for rows whose primary key follows the one place, up to and with the other."""
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
    """Runs the statements that a query answers with: the catalog's own words, quoted by the server."""
    for (statement,) in connection.execute(sql.get(name), values).fetchall():
        connection.execute(statement.encode())


def named(connection: Connection, schema: str, name: str) -> tuple[Any, ...] | None:
    """Oid, kind, whether a partition, bytes and rows of that table."""
    values = {"schema": schema, "name": name}
    return connection.execute(sql.get("partitions/adopt/table"), values).fetchone()


def free_name(connection: Connection, schema: str, *names: str) -> str:
    """The first of those names that nothing else has. Raises AdoptionError."""
    values = {"names": list(names), "schema": schema}
    found = connection.execute(sql.get("partitions/free_name"), values).fetchone()
    if found is None:
        raise AdoptionError(f"the names {', '.join(names)} are all taken in {schema}; rename one of those")
    return str(found[0])


def waiting(connection: Connection, statements: Statements) -> int:
    """How many noted changes are still to be brought over."""
    (count,) = row(connection, statements("waiting"))
    return int(count)
