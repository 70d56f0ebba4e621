"""A read-only transaction with one snapshot, in which no answer can change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import sql
from ops_pipeline.postgres.connection import Connection

Answer = TypeVar("Answer")

_ANSWERS: WeakKeyDictionary[Connection, dict[Any, Any]] = WeakKeyDictionary()


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A read-only transaction whose statements all see the database as of its first one.

    Within another one it is part of that: a savepoint with the same snapshot and the same answers.
    """
    outermost = connection not in _ANSWERS
    with connection.transaction():
        connection.execute(sql.get("postgres/snapshot"))
        _ANSWERS.setdefault(connection, {})
        try:
            yield
        finally:
            if outermost:
                del _ANSWERS[connection]


def once(connection: Connection, key: object, ask: Callable[[], Answer]) -> Answer:
    """The answer of `ask`, which within one `snapshot` is asked only once for each key.

    Outside of one it is asked every time, because another session may have changed the answer.
    """
    answers = _ANSWERS.get(connection)
    if answers is None:
        return ask()
    if key not in answers:
        answers[key] = ask()
    answer: Answer = answers[key]
    return answer
