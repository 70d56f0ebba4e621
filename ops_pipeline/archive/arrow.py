"""Archived columns as Arrow types and schemas. Loads Arrow."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from ops_pipeline.archive.columns import ArchivedColumn, Travels, out_of_range_field

TYPES: Mapping[Travels, pa.DataType] = {
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "text": pa.string(),
    "oid": pa.string(),
}

TYPE_KEY = "postgresql.type"
"""The metadata key of a field for the column's PostgreSQL type."""

BITS = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def schema(columns: Sequence[ArchivedColumn], about: Mapping[str, str]) -> pa.Schema:
    """The schema of a file with these columns; `about` is stored in its metadata."""
    fields = [
        pa.field(column.field, TYPES[column.travels], metadata={TYPE_KEY: column.type}) for column in columns
    ]
    extra = out_of_range_field(columns)
    if extra is not None:
        fields.append(pa.field(extra, pa.string()))
    return pa.schema(fields, metadata=dict(about))


def same(left: pa.Table, right: pa.Table) -> bool:
    """Whether both have the same values, bit by bit: NaN equals NaN, and 0.0 differs from -0.0."""
    return left.num_rows == right.num_rows and all(
        _bits(one).equals(_bits(other)) for one, other in zip(left.columns, right.columns, strict=True)
    )


def _bits(values: pa.ChunkedArray) -> pa.ChunkedArray:
    as_integer = BITS.get(values.type)
    if as_integer is None:
        return values
    return pa.chunked_array([chunk.view(as_integer) for chunk in values.chunks], type=as_integer)
