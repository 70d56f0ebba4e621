"""A file as Parquet: built in memory row group by row group, and compared with what went in."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ops_pipeline.archive import arrow

LEVEL = 1
"""Of zstd. Higher ones take several times as long for a few per cent."""

FALSE_POSITIVES = 0.01
"""Of a Bloom filter: how often a row group is read in which the value is not."""

BLOOM_BYTES = 32 * 1024
"""Of one Bloom filter for 20,000 rows."""

LOOKED_AT = 4096
"""Rows from whose values is told whether a column repeats itself."""


class NotTheSameError(Exception):
    """What was decoded is not what was encoded."""


class Encoder:
    """One file. Not for two threads at once. The columns `looked_up_by` get Bloom filters."""

    def __init__(self, schema: pa.Schema, looked_up_by: Sequence[str] = ()) -> None:
        self._schema = schema
        self._looked_up_by = looked_up_by
        self._groups = 0
        self._sink = pa.BufferOutputStream()
        self._writer: pq.ParquetWriter | None = None

    @property
    def size(self) -> int:
        """About how many bytes the file has so far. Bloom filters are written when it is closed."""
        return int(self._sink.tell()) + self._groups * len(self._looked_up_by) * BLOOM_BYTES

    def add(self, rows: pa.Table) -> None:
        """Adds the rows as one row group."""
        if self._writer is None:
            self._writer = self._open(rows)
        self._groups += 1
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> pa.Buffer:
        """The whole file."""
        if self._writer is not None:
            self._writer.close()
        return self._sink.getvalue()

    def _open(self, rows: pa.Table) -> pq.ParquetWriter:
        # The first row group is the largest, unless rows differ much in size.
        bloom = {"ndv": max(1, rows.num_rows), "fpp": FALSE_POSITIVES}
        return pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            compression_level=LEVEL,
            use_dictionary=[name for name in rows.column_names if _repeats(rows.column(name))],
            write_statistics=True,
            write_page_index=True,
            write_page_checksum=True,
            bloom_filter_options=dict.fromkeys(self._looked_up_by, bloom),
        )


def check(content: pa.Buffer, groups: Sequence[pa.Table]) -> None:
    """Decodes the file and holds it against the rows that went in, bit by bit. Raises NotTheSameError."""
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    if file.num_row_groups != len(groups):
        raise NotTheSameError(f"{file.num_row_groups} row groups where {len(groups)} were written")
    for number, group in enumerate(groups):
        if not arrow.same(file.read_row_group(number, use_threads=False), group):
            raise NotTheSameError(f"row group {number} is not what was written")


def _repeats(values: pa.ChunkedArray) -> bool:
    # A dictionary of floats would take 0.0 for -0.0 if their hashes met.
    if pa.types.is_floating(values.type) or pa.types.is_boolean(values.type):
        return False
    looked_at = values.slice(0, LOOKED_AT)
    different: int = pc.count_distinct(looked_at, mode="all").as_py()
    return different * 2 <= len(looked_at)
