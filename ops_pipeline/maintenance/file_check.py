"""Checks that the tables and columns named in policies.yaml exist; problems name file and line."""

from dataclasses import dataclass, field

from ops_pipeline.holds import holds
from ops_pipeline.nearest import nearest
from ops_pipeline.policies.file import Place
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, TableName, find_relation


@dataclass(slots=True)
class FileCheck:
    """Looks up the names in one policy and collects the `problems`. It only reads."""

    connection: Connection
    place: Place
    problems: list[str] = field(default_factory=list)

    def problem(self, key: str | int, message: str) -> None:
        """Adds what is wrong with the value of that key."""
        self.problems.append(self.place.problem(key, message))

    def table(self, name: TableName, key: str | int, *, place: Place | None = None) -> Relation | None:
        """The table that the key names. Where it does not exist: None, and a problem."""
        try:
            return find_relation(self.connection, name)
        except LookupError as error:
            advice = f"{error}{holds.lost(self.connection, name)}"
            self.problems.append((place or self.place).problem(key, advice))
            return None

    def column_type(self, table: Relation, column: str, key: str) -> str | None:
        """The type of the column that the key names. Where it does not exist: None, and a problem."""
        types = catalog.columns(self.connection, table)
        if column not in types:
            self.problem(key, f'{table} has no column "{column}"; {nearest(column, list(types))}')
        return types.get(column)
