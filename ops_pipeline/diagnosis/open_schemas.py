"""Schemas on our search path in which other roles may create functions and operators."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding


def _find(examined: Examination) -> Iterator[Finding]:
    values = {"tables": [table.oid for _, table, _ in examined.deleting()]}
    rows = examined.connection.execute(sql.get("diagnosis/open_schemas"), values)
    for schema, role, revoke in rows:
        yield Finding(
            f"schema {schema}",
            f"{role or 'every role'} may create objects in schema {schema}, which is on the search path of "
            "Ops Pipeline's sessions: a function or operator there that matches better than PostgreSQL's own "
            f"would run with the privileges of {examined.connection.info.user}. Revoke the privilege",
            (revoke,),
        )


OPEN_SCHEMAS = Diagnosis(
    id="open_schemas",
    severity="warning",
    question="Can only the owners of the policies' tables create objects in the schemas on the search path?",
    remedy="Run `REVOKE CREATE ON SCHEMA public FROM PUBLIC`: the default of databases created with "
    "PostgreSQL 15 or later; an upgraded database keeps the grant.",
    find=_find,
)
