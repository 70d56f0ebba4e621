"""The bloat of tables and B-trees: bytes that are neither rows nor free space left by the fillfactor.

Estimated from ANALYZE's statistics (see `page_layout`), so nothing needs to be installed and nothing is read.
Where the extension pgstattuple is installed and we may use it, it reads the relations that are most bloated
by that estimate.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, LiteralString

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.vacuum import page_layout
from ops_pipeline.maintenance.vacuum.tables import Table
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation

BloatSource = Literal["statistics", "pgstattuple"]

LEAST_BYTES = 128 * 1024
"""The bloat of smaller relations is not worth knowing."""
READ_BYTES = 512 * 1024 * 1024
"""How much pgstattuple may read for one plan or run, the most bloated relations first."""
READ_SHARE = 0.2
"""Relations that are less bloated than this by the estimate are not read."""


@dataclass(frozen=True, slots=True)
class Bloat:
    """Of `size` bytes, rewriting the relation would save `wasted`; `by`: estimated from statistics, or read
    by pgstattuple."""

    size: int
    wasted: int
    by: BloatSource

    @property
    def share(self) -> float:
        """The share of its bytes that is wasted."""
        return self.wasted / self.size if self.size else 0.0

    def __str__(self) -> str:
        by = "the statistics" if self.by == "statistics" else self.by
        return f"{self.wasted / 1e6:,.1f} of {self.size / 1e6:,.1f} MB are bloat by {by}"


@dataclass(frozen=True, slots=True)
class Btree:
    """A valid B-tree. `expected`: its size in bytes after a rebuild, by the statistics; None where unknown.
    `exclusion`: it belongs to an exclusion constraint, whose index cannot be rebuilt concurrently. `live`:
    the share of its entries that VACUUM would keep."""

    index: Relation
    table: Relation
    size: int
    fillfactor: int
    expected: int | None
    exclusion: bool = False
    live: float = 1.0
    bloat: Bloat | None = None


@dataclass(frozen=True, slots=True)
class BloatReport:
    """The bloat of tables by their oid, where it is known, and all their B-trees."""

    tables: dict[int, Bloat]
    btrees: tuple[Btree, ...]

    def of_indexes(self, table: int) -> Bloat | None:
        """The bloat of a table's B-trees together; by pgstattuple only when it has read all of them."""
        known = [btree.bloat for btree in self.btrees if btree.table.oid == table and btree.bloat]
        if not known:
            return None
        by: BloatSource = "statistics" if any(bloat.by == "statistics" for bloat in known) else "pgstattuple"
        return Bloat(sum(bloat.size for bloat in known), sum(bloat.wasted for bloat in known), by)

    @property
    def read(self) -> frozenset[int]:
        """The oids of the relations that pgstattuple has read."""
        bloats = self.tables | {btree.index.oid: btree.bloat for btree in self.btrees if btree.bloat}
        return frozenset(oid for oid, bloat in bloats.items() if bloat.by == "pgstattuple")


def find_bloat(
    connection: Connection,
    tables: Sequence[Table],
    *,
    corrections: Mapping[str, float] | None = None,
    read: Collection[int] | None = None,
    careful: bool = False,
) -> BloatReport:
    """The bloat of those tables, without their TOAST tables, and of their B-trees.

    `corrections`: the factor by which a rebuilt index was larger than expected. `read`: the relations that
    pgstattuple reads, so that two reports can be compared; None: the most bloated, up to READ_BYTES.
    `careful`: uses the larger of two counts of an index's rows, because it is about to be rebuilt.
    System catalogs and small relations are left out.
    """
    own = [table for table in tables if not table.parent and not table.system]
    page = _page_bytes(connection)
    estimated = _estimated_tables(connection, [table for table in own if table.bytes >= LEAST_BYTES], page)
    btrees = [_corrected(btree, corrections or {}) for btree in _btrees(connection, own, page, careful)]
    reader = _PageReader.installed(connection, page)
    if reader is None:
        return BloatReport(estimated, tuple(btrees))
    chosen = set(_most_bloated(own, estimated, btrees) if read is None else read)
    for table in own:
        if table.oid in chosen and (bloat := reader.table(table)) is not None:
            estimated[table.oid] = bloat
    return BloatReport(
        estimated, tuple(reader.btree(btree) if btree.index.oid in chosen else btree for btree in btrees)
    )


def read_again(connection: Connection, btree: Btree) -> Btree:
    """The B-tree as pgstattuple reads it now, whatever its size; unchanged where it cannot be read."""
    reader = _PageReader.installed(connection, _page_bytes(connection))
    return btree if reader is None else reader.btree(btree)


def _page_bytes(connection: Connection) -> int:
    return int(scalar(connection, sql.get("maintenance/vacuum/page")))


def _estimated_tables(connection: Connection, tables: Sequence[Table], page: int) -> dict[int, Bloat]:
    oids = [table.oid for table in tables]
    rows = connection.execute(sql.get("maintenance/vacuum/table_columns"), {"oids": oids})
    columns = {
        oid: [page_layout.ColumnStatistics(*column) for _, *column in group]
        for oid, group in groupby(rows.fetchall(), key=itemgetter(0))
    }
    estimated: dict[int, Bloat] = {}
    for table in tables:
        if table.rows is None:
            continue
        needed = page_layout.table_bytes(table.rows, columns.get(table.oid, []), table.fillfactor, page)
        if needed is not None:
            estimated[table.oid] = Bloat(table.bytes, max(0, table.bytes - needed), "statistics")
    return estimated


def _btrees(connection: Connection, tables: Sequence[Table], page: int, careful: bool) -> Iterator[Btree]:
    by_oid = {table.oid: table for table in tables}
    rows = connection.execute(sql.get("maintenance/vacuum/btrees"), {"oids": list(by_oid)}).fetchall()
    for _, group in groupby(rows, key=itemgetter(0)):
        yield _btree(list(group), by_oid, page, careful)


def _btree(rows: Sequence[tuple[Any, ...]], tables: Mapping[int, Table], page: int, careful: bool) -> Btree:
    oid, schema, name, table_oid, size, exclusion, partial, fillfactor, deduplicated, *_ = rows[0]
    table = tables[table_oid]
    counted = _entries(table, partial, careful)
    expected = None
    if counted is not None:
        columns = [page_layout.ColumnStatistics(*row[9:]) for row in rows]
        expected = page_layout.btree_bytes(counted, columns, fillfactor, page, deduplicated=deduplicated)
    live = 1.0 if careful or not table.dead else table.live / (table.live + table.dead)
    return Btree(Relation(oid, schema, name), table.relation, size, fillfactor, expected, exclusion, live)


def _entries(table: Table, partial: float | None, careful: bool) -> float | None:
    """The rows of an index; `partial`: those of a partial index, as VACUUM or ANALYZE recorded them."""
    if table.rows is None or (partial is not None and partial < 0):
        return None
    rows = max(table.rows, table.reltuples) if careful else table.rows
    if partial is None:
        return rows
    return partial * min(1.0, rows / table.reltuples) if table.reltuples > 0 else partial


def _corrected(btree: Btree, corrections: Mapping[str, float]) -> Btree:
    if btree.expected is None or btree.size < LEAST_BYTES:
        return btree
    needed = round(btree.expected * corrections.get(str(btree.index), 1.0))
    return replace(btree, bloat=Bloat(btree.size, max(0, btree.size - needed), "statistics"))


def _most_bloated(
    tables: Sequence[Table], estimated: Mapping[int, Bloat], btrees: Sequence[Btree]
) -> Iterator[int]:
    """The relations to read: those without an estimate first, then the most wasteful."""
    known = [(table.oid, table.bytes, estimated.get(table.oid)) for table in tables]
    known += [(btree.index.oid, btree.size, btree.bloat) for btree in btrees]
    worth = [
        (oid, size, bloat.wasted if bloat else size)
        for oid, size, bloat in known
        if size >= LEAST_BYTES and (bloat is None or bloat.share >= READ_SHARE)
    ]
    room = READ_BYTES
    for oid, size, _ in sorted(worth, key=itemgetter(2), reverse=True):
        if size <= room:
            room -= size
            yield oid


@dataclass(frozen=True, slots=True)
class _PageReader:
    """Reads relations with pgstattuple, whose functions are in `schema`."""

    connection: Connection
    schema: compose.Identifier
    page: int

    @classmethod
    def installed(cls, connection: Connection, page: int) -> "_PageReader | None":
        """None where the extension is not installed, or this user may not use it."""
        schema = connection.execute(sql.get("maintenance/vacuum/pgstattuple")).fetchone()
        return cls(connection, compose.Identifier(*schema), page) if schema else None

    def table(self, table: Table) -> Bloat | None:
        row = self._ask("maintenance/vacuum/read_table", table.oid)
        if row is None:
            return None
        size, rows, free, dead = row
        used = size - free - dead
        room = self.page * table.fillfactor / 100
        fits = max(1, math.floor(room * rows / used)) if rows and used > 0 else 1
        return Bloat(size, max(0, size - self.page * math.ceil(rows / fits)), "pgstattuple")

    def btree(self, btree: Btree) -> Btree:
        row = self._ask("maintenance/vacuum/read_btree", btree.index.oid)
        if row is None:
            return btree
        size, pages, density = row
        needed = self.page * (1 + math.ceil(pages * density * btree.live / btree.fillfactor))
        bloat = Bloat(size, max(0, size - needed), "pgstattuple")
        return replace(btree, size=size, bloat=bloat)

    def _ask(self, statement: LiteralString, oid: int) -> tuple[Any, ...] | None:
        text = compose.SQL(sql.get(statement)).format(schema=self.schema)
        try:
            with self.connection.transaction():
                return self.connection.execute(text, {"oid": oid}).fetchone()
        except UNREADABLE:
            return None


UNREADABLE = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedObject,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InternalError_,  # dropped since it was listed
)
"""The relation is locked, was dropped, or is of a kind that pgstattuple cannot read; the estimate is used."""
