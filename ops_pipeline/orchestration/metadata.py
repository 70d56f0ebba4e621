"""The metadata that Dagster's UI shows for a policy's plan and its runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.metadata import normalize_metadata_value
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from ops_pipeline.maintenance.history import UNRECORDED
from ops_pipeline.maintenance.kind import Kind
from ops_pipeline.maintenance.plan import Plan, RowCount, Unplanned
from ops_pipeline.maintenance.result import RunResult

Metadata = Mapping[str, dg.MetadataValue]

NOTHING = cast("dg.DagsterType", dg.Nothing)
"""The type of a step's output: its effect is in the database, and there is nothing to store. Dagster accepts
`Nothing` as a type, but its annotations do not say so."""


OUTPUT = "result"
"""The name of a policy step's only output."""


def metadata(kind: Kind[Any], result: RunResult) -> Metadata:
    """The metadata of a run. The UI plots the numbers over the runs."""
    return {
        **values(
            rows_removed=result.removed,
            rows_scanned=result.scanned if kind.deletes else None,
            seconds=round(result.seconds, 3),
            dead_tuples_before=result.dead_tuples_before,
            dead_tuples_after=result.dead_tuples_after,
            stopped_reason=result.stopped_reason,
            outcome=result.outcome,
            seconds_throttled=round(result.seconds_throttled, 3),
            wal_bytes=result.wal_bytes,
            rows_remaining=result.remaining,
            rows_archived=result.archived or None,
            bytes_removed=result.bytes or None,
            oldest_row_remaining=result.oldest,
            method=result.method or None,
            plan=str(result.details["plan"]) if "plan" in result.details else None,
            unrecorded=str(result.details[UNRECORDED])
            if result.removed and UNRECORDED in result.details
            else None,
        ),
        **_tables({title: result.details.get(key) for title, key in kind.detail_tables.items()}),
        **_tables({"cascaded_rows": result.cascaded}),
    }


def plan(planned: Plan | Unplanned) -> Metadata:
    """The metadata of a plan."""
    if isinstance(planned, Unplanned):
        return values(problem=planned.problem)
    return {
        **values(method=planned.method.name, dead_tuples=planned.dead_tuples),
        **(_rows(planned.rows) if planned.rows else {}),
        **_tables(planned.tables()),
        **values(
            advice="\n".join(planned.advice) or None,
            refused=not_possible(planned),
            needs_approval="; ".join(planned.needs_approval) or None,
        ),
    }


def not_possible(planned: Plan | Unplanned) -> str | None:
    """Why a run would refuse the policy; None where it would not."""
    if isinstance(planned, Unplanned):
        return planned.problem
    return "; ".join(planned.refusals) or None


def _rows(rows: RowCount) -> Metadata:
    return values(
        rows_eligible=rows.eligible,
        rows_total=rows.total,
        fraction=round(rows.fraction, 6),
        rows_on_hold=rows.on_hold,
        exact=rows.exact,
        oldest_eligible=rows.oldest,
        newest_eligible=rows.newest,
    )


def values(**named: bool | float | str | datetime | None) -> Metadata:
    """The values as Dagster's metadata values, without those that are None."""
    return {
        name: dg.MetadataValue.timestamp(value)
        if isinstance(value, datetime)
        else normalize_metadata_value(value)
        for name, value in named.items()
        if value is not None
    }


def _tables(tables: Mapping[str, Sequence[Mapping[str, object]] | None]) -> Metadata:
    """The tables by their titles, without those that are empty."""
    return {
        title: dg.MetadataValue.table([dg.TableRecord(_in_cells(row)) for row in rows])
        for title, rows in tables.items()
        if rows
    }


def _in_cells(row: Mapping[str, object]) -> dict[str, str | int | float | bool]:
    return {
        name: "" if value is None else cast("str | int | float | bool", value) for name, value in row.items()
    }


def in_words(planned: Plan | Unplanned) -> str:
    """A plan in one line, for the run's log."""
    if isinstance(planned, Unplanned):
        return f"{planned.policy}: {planned.problem}"
    stopped = "".join(f"; needs approval: {reason}" for reason in planned.needs_approval)
    refused = "".join(f"; refused: {reason}" for reason in planned.refusals)
    observed = "; observed only (mode: observe)" if planned.observe else ""
    return f"{planned.policy} {planned.would()}{refused}{stopped}{observed}"


def not_materialized() -> dg.Output[None]:
    """The step's output, without a materialization of the asset; later steps depend on the output.

    If it were not yielded, Dagster would skip every later step. This mark keeps Dagster from recording a
    materialization, as for observable source assets.
    """
    return dg.Output(None, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
