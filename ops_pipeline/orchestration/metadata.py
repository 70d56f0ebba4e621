"""What the UI shows of a policy, of its plan, and of what it did."""

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
"""What a step hands on: its effect is in the database, and there is nothing to store. Dagster takes it as a
type of its own, and its annotations do not say so."""


OUTPUT = "result"
"""The name of a policy's only output, whatever the policy is called."""


def metadata(kind: Kind[Any], result: RunResult) -> Metadata:
    """What a run did. Numbers are plotted by the UI over the runs."""
    return {
        **_shown(
            rows_removed=result.removed,
            rows_examined=result.examined,
            seconds=round(result.seconds, 3),
            dead_tuples_before=result.dead_tuples_before,
            dead_tuples_after=result.dead_tuples_after,
            stopped_reason=result.stopped_reason,
            outcome=result.outcome,
            seconds_paused=round(result.pausing, 3),
            wal_bytes=result.wal_bytes,
            rows_left=result.left,
            rows_archived=result.archived or None,
            bytes_removed=result.bytes or None,
            oldest_row_left=result.oldest,
            method=result.method or None,
            approve=str(result.details["plan"]) if "plan" in result.details else None,
            unrecorded=str(result.details[UNRECORDED])
            if result.removed and UNRECORDED in result.details
            else None,
        ),
        **_tables({title: result.details.get(key) for title, key in kind.detail_tables.items()}),
        **_tables({"rows_along": result.cascaded}),
    }


def plan(planned: Plan | Unplanned) -> Metadata:
    """What a run would do."""
    if isinstance(planned, Unplanned):
        return _shown(problem=planned.problem)
    return {
        **_shown(method=planned.method.name, dead_tuples=planned.dead_tuples),
        **(_rows(planned.rows) if planned.rows else {}),
        **_tables(planned.tables()),
        **_shown(
            advice="\n".join(planned.advice) or None,
            refused="; ".join(planned.refusals) or None,
            needs_approval="; ".join(planned.needs_approval) or None,
        ),
    }


def _rows(rows: RowCount) -> Metadata:
    return _shown(
        rows_eligible=rows.eligible,
        rows_total=rows.total,
        fraction=round(rows.fraction, 6),
        rows_on_hold=rows.held,
        counted=rows.exact,
        oldest_eligible=rows.oldest,
        newest_eligible=rows.newest,
    )


def _shown(**values: bool | float | str | datetime | None) -> Metadata:
    """The values as Dagster wants them, without those that are None."""
    return {
        name: dg.MetadataValue.timestamp(value)
        if isinstance(value, datetime)
        else normalize_metadata_value(value)
        for name, value in values.items()
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
    """A plan in a line, for the run's log."""
    if isinstance(planned, Unplanned):
        return f"{planned.policy}: {planned.problem}"
    stopped = "".join(f"; the guard would stop it: {reason}" for reason in planned.needs_approval)
    refused = "".join(f"; refused: {reason}" for reason in planned.refusals)
    if planned.rows is None:
        return f"{planned.policy}: {planned.method.name}{refused}{stopped}"
    return (
        f"{planned.policy} would remove {planned.rows.eligible:,} of {planned.rows.total:,} rows "
        f"({planned.rows.fraction:.1%}){refused}{stopped}"
    )


def not_materialized() -> dg.Output[None]:
    """The step's output, which lets what comes after it go on, without a materialization of the asset.

    An output that is never yielded would have every later step skipped. With this mark Dagster leaves the
    telling to the step itself, as it does for observable source assets.
    """
    return dg.Output(None, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
