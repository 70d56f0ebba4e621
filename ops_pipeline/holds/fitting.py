"""Checks a hold's predicate against its table: columns, types, operators and times."""

from dataclasses import replace
from datetime import UTC, datetime

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.audit import times
from ops_pipeline.nearest import nearest
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.condition import Condition, Predicate, PredicateError, parse
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.equality import equalities
from ops_pipeline.postgres.relation import Relation


def fitting(connection: Connection, relation: Relation, where: str) -> Predicate:
    """The predicate of that text, with absolute times. Raises PredicateError where it is invalid."""
    types, times_of_table = catalog.columns(connection, relation), catalog.times(connection, relation)
    operators = equalities(connection, relation)
    now = datetime.now(UTC)
    fitted = []
    for condition in parse(where).comparing(operators).conditions:
        if condition.column not in types:
            problem = (
                f'{relation} has no column "{condition.column}"; {nearest(condition.column, list(types))}'
            )
            raise PredicateError(where, condition.column_at, problem)
        of_type = types[condition.column]
        if condition.column in times_of_table:
            fitted.append(_moment(condition, where, now))
            continue
        if condition.operator != "=":
            kinds = f"{condition.operator} requires a timestamp or date column, = works for all"
            problem = f"{condition.column} is {of_type}; {kinds}"
            raise PredicateError(where, condition.operator_at, problem)
        _try(connection, relation, condition, of_type, where)
        fitted.append(condition)
    return Predicate(tuple(fitted))


def _moment(condition: Condition, where: str, now: datetime) -> Condition:
    # A time relative to now would cover different rows every night.
    try:
        return replace(condition, value=times.read(str(condition.value), now))
    except ValueError as error:
        raise PredicateError(where, condition.value_at, str(error)) from None


def _try(connection: Connection, relation: Relation, condition: Condition, of_type: str, where: str) -> None:
    statement = compose.SQL(sql.get("holds/meets")).format(
        table=relation.identifier, condition=condition.over("target")
    )
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.UndefinedFunction:
        problem = f"{condition.column} is {of_type}, which has no = operator; use another column"
        raise PredicateError(where, condition.column_at, problem) from None
    except psycopg.DataError as error:
        problem = f"{condition.column} is {of_type}, and {error.diag.message_primary}"
        raise PredicateError(where, condition.value_at, problem) from None
