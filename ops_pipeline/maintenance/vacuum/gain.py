"""What VACUUM brought a table: dead rows, bytes, and the age of its oldest row, before and after."""

from dataclasses import dataclass
from typing import Literal

import sql
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.vacuum import choose

Outcome = Literal["done", "blocked", "passed over"]


@dataclass(frozen=True, slots=True)
class State:
    """A table at one moment; `bytes` with its TOAST table, ages in transactions and multixacts."""

    live: int
    dead: int
    toast_live: int
    toast_dead: int
    bytes: int
    index_bytes: int
    age: int
    multixact_age: int

    @property
    def burdened(self) -> bool:
        """Whether VACUUM is due because of the dead rows it holds."""
        return choose.burdened(self.live, self.dead) or choose.burdened(self.toast_live, self.toast_dead)

    @property
    def all_dead(self) -> int:
        """Dead row versions, those of its TOAST table included."""
        return self.dead + self.toast_dead


@dataclass(frozen=True, slots=True)
class Gain:
    """What came of one table. `problem`: what kept it from being done, if anything did."""

    table: str
    action: choose.Action
    reason: str
    outcome: Outcome
    seconds: float
    dead_before: int
    dead_after: int
    bytes_before: int
    bytes_after: int
    index_bytes_before: int
    index_bytes_after: int
    age_before: int
    age_after: int
    multixact_age_before: int
    multixact_age_after: int
    problem: str = ""


def state(connection: Connection, table: catalog.Relation) -> State | None:
    """How the table stands, this session's own last statements included; None when it is gone."""
    connection.execute(sql.get("catalog/flush_statistics"))
    found = connection.execute(sql.get("vacuum/state"), {"oid": table.oid}).fetchone()
    return State(*found) if found else None


def between(
    choice: choose.Choice, before: State, after: State, outcome: Outcome, problem: str, seconds: float
) -> Gain:
    """What lies between two states of the table of that choice."""
    return Gain(
        table=str(choice.table),
        action=choice.action,
        reason=choice.reason,
        outcome=outcome,
        seconds=round(seconds, 3),
        dead_before=before.all_dead,
        dead_after=after.all_dead,
        bytes_before=before.bytes,
        bytes_after=after.bytes,
        index_bytes_before=before.index_bytes,
        index_bytes_after=after.index_bytes,
        age_before=before.age,
        age_after=after.age,
        multixact_age_before=before.multixact_age,
        multixact_age_after=after.multixact_age,
        problem=problem,
    )
