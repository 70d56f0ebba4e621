"""Checks that a hold's table and columns are still those it was made for, after renames and drops."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.condition import Predicate


@dataclass(frozen=True, slots=True)
class BoundColumn:
    """A column of a table. `type_oid` and `modifier` are its type, `type` is the type's name."""

    name: str
    number: int
    type: str
    type_oid: int
    modifier: int

    def __str__(self) -> str:
        return f"column {self.number} ({self.type})"


@dataclass(frozen=True, slots=True)
class Binding:
    """The table and columns that a hold was made for (`oid`, `columns`), and those that have its names now.

    `bound_name`: the current name of the table it was made for; None when that table does not exist.
    """

    oid: int | None
    columns: dict[str, BoundColumn]
    named_oid: int | None
    named_columns: dict[str, BoundColumn]
    bound_name: str | None


def binding(values: Sequence[Any]) -> Binding:
    """The binding from a row of `ops.holds_now`."""
    oid, columns, named_oid, named_columns, bound_name = values
    return Binding(oid, _by_name(columns), named_oid, _by_name(named_columns), bound_name)


def unclear(hold_id: int, table: str, predicate: Predicate, bound: Binding) -> str | None:
    """Why it is unknown which rows the hold covers; None when it is known."""
    reason = _why_unclear(table, predicate, bound)
    if reason is None:
        return None
    return (
        f"Hold {hold_id} ({predicate}) was {reason}, so it is unknown which rows it covers. Until "
        "that is known, no policy deletes from its table."
    )


def remedies(
    hold_id: int, table: str, predicate: Predicate, bound: Binding, database: str | None
) -> list[str]:
    """The commands of which one resolves an unclear hold; the last one releases it. `database`: its name in
    policies.yaml."""
    moved = bound.oid is None or bound.oid != bound.named_oid
    options = _by_table(table, bound) if moved else _by_column(predicate, bound)
    return [
        *(opsctl("hold", "confirm", hold_id, *option, database=database) for option in options),
        opsctl("hold", "release", hold_id, database=database),
    ]


def _why_unclear(table: str, predicate: Predicate, bound: Binding) -> str | None:
    if bound.oid is None or bound.oid != bound.named_oid:
        return _moved(table, bound)
    changed = _changed(predicate, bound)
    return None if changed is None else f"made for {table}, and {changed}"


def _moved(table: str, bound: Binding) -> str:
    made_for = (
        f"the table that is now {bound.bound_name}" if bound.bound_name else "a table that no longer exists"
    )
    now = f"{table} does not exist now" if bound.named_oid is None else f"{table} is another table now"
    return f"made for {made_for}, and {now}"


def _by_table(table: str, bound: Binding) -> list[list[str]]:
    named = [table] if bound.named_oid is not None else []
    names = [*named, bound.bound_name] if bound.bound_name else named
    return [["--table", name] for name in names]


def _changed(predicate: Predicate, bound: Binding) -> str | None:
    """The first of the predicate's columns that is another column now, in words; None where there is none."""
    for name in dict.fromkeys(condition.column for condition in predicate.conditions):
        then, now = bound.columns.get(name), bound.named_columns.get(name)
        if then is not None and now is not None and _same(then, now):
            continue
        was = f"was {then} then and " if then and now else ""
        said = f"its column {name} {was}{f'is {now}' if now else 'does not exist'} now"
        other = _called_now(name, bound)
        return (
            said
            if other in {None, name} or then is None
            else f"{said}; column {then.number} is called {other} now"
        )
    return None


def _by_column(predicate: Predicate, bound: Binding) -> list[list[str]]:
    names = {condition.column for condition in predicate.conditions}
    followed = {name: _called_now(name, bound) for name in names}
    options: list[list[str]] = [[]] if names <= bound.named_columns.keys() else []
    if followed != {name: name for name in names} and None not in followed.values():
        conditions = tuple(
            replace(condition, column=str(followed[condition.column])) for condition in predicate.conditions
        )
        options.append(["--where", str(Predicate(conditions))])
    return options or [["--where", "…"]]


def _called_now(name: str, bound: Binding) -> str | None:
    """The current name of the column that had that name; None when it was dropped."""
    then = bound.columns.get(name)
    numbered = {column.number: column.name for column in bound.named_columns.values()}
    return None if then is None else numbered.get(then.number)


def _same(then: BoundColumn, now: BoundColumn) -> bool:
    return (then.number, then.type_oid, then.modifier) == (now.number, now.type_oid, now.modifier)


def _by_name(columns: Sequence[dict[str, Any]]) -> dict[str, BoundColumn]:
    return {column["name"]: BoundColumn(**column) for column in columns}
