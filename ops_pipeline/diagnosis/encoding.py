"""Databases whose encoding is SQL_ASCII or MULE_INTERNAL, or cannot store every character."""

from collections.abc import Iterator

from psycopg import conninfo

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import (
    DatabaseUnavailableError,
    EncodingRefusedError,
    copy_to_utf8,
    describe,
)


def _explain(url: str, error: DatabaseUnavailableError) -> Iterator[Finding]:
    if isinstance(error, EncodingRefusedError):
        database = str(conninfo.conninfo_to_dict(url).get("dbname", ""))
        yield Finding(describe(url), str(error), (copy_to_utf8(database),))


def _find(examined: Examination) -> Iterator[Finding]:
    encoding = examined.connection.info.parameter_status("server_encoding")
    if encoding is not None and encoding != "UTF8":
        yield Finding(
            examined.connection.info.dbname,
            f"the encoding of the database is {encoding}: an audit event with characters outside it is "
            "refused (400, with the field). To store all characters, copy it into a database in UTF8",
            (copy_to_utf8(examined.connection.info.dbname, encoding),),
        )


ENCODING = Diagnosis(
    id="encoding",
    severity="error",
    question="Does the database have an encoding other than SQL_ASCII and MULE_INTERNAL?",
    remedy="Copy the database into one in UTF8: `createdb -T template0 -E UTF8 …`, "
    "`pg_dump -E … -f dump.sql`, `psql -f dump.sql`.",
    explain=_explain,
)
NARROW_ENCODING = Diagnosis(
    id="narrow_encoding",
    severity="info",
    question="Can the database store every character?",
    remedy="No action is required. In a database in UTF8 every audit event can be stored.",
    find=_find,
)
