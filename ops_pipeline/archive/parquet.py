"""Encodes a Parquet file in memory, row group by row group, and compares it with the rows. Loads Arrow."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ops_pipeline.archive import arrow

LEVEL = 1
"""The zstd level. Higher levels take several times as long and save only a few percent."""

FALSE_POSITIVES = 0.01
"""The false positive rate of a Bloom filter: how often a row group without the value is read."""

BLOOM_BYTES = 32 * 1024
"""The size of one Bloom filter for 20,000 rows."""

LOOKED_AT = 4096
"""How many rows decide whether a column has enough repeated values for a dictionary."""


class NotTheSameError(Exception):
    """The decoded rows differ from the encoded rows."""


class Encoder:
    """Encodes one file. Not thread-safe. The columns `looked_up_by` get Bloom filters."""

    def __init__(self, schema: pa.Schema, looked_up_by: Sequence[str] = ()) -> None:
        self._schema = schema
        self._looked_up_by = looked_up_by
        self._groups = 0
        self._sink = pa.BufferOutputStream()
        self._writer: pq.ParquetWriter | None = None

    @property
    def size(self) -> int:
        """The approximate size in bytes so far. Bloom filters are written when the file is closed."""
        return int(self._sink.tell()) + self._groups * len(self._looked_up_by) * BLOOM_BYTES

    def add(self, rows: pa.Table) -> None:
        """Adds the rows as one row group."""
        if self._writer is None:
            self._writer = self._open(rows)
        self._groups += 1
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> pa.Buffer:
        """Finishes the file and returns its content."""
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
    """Decodes the file and compares it with the rows, bit by bit. Raises NotTheSameError."""
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    if file.num_row_groups != len(groups):
        raise NotTheSameError(f"{file.num_row_groups} row groups where {len(groups)} were written")
    for number, group in enumerate(groups):
        if not arrow.same(file.read_row_group(number, use_threads=False), group):
            raise NotTheSameError(f"row group {number} differs from what was written")


def _repeats(values: pa.ChunkedArray) -> bool:
    # A dictionary of floats could confuse 0.0 and -0.0 if their hashes collide.
    if pa.types.is_floating(values.type) or pa.types.is_boolean(values.type):
        return False
    looked_at = values.slice(0, LOOKED_AT)
    different: int = pc.count_distinct(looked_at, mode="all").as_py()
    return different * 2 <= len(looked_at)
