"""What the UI shows of a policy, of its plan, and of what it did."""

from collections.abc import Mapping
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

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
    """What a run did. Numbers are plotted by the UI over the nights."""
    shown: dict[str, dg.MetadataValue] = {
        "rows_removed": dg.MetadataValue.int(result.removed),
        "rows_examined": dg.MetadataValue.int(result.examined),
        "seconds": dg.MetadataValue.float(round(result.seconds, 3)),
        "dead_tuples_before": dg.MetadataValue.int(result.dead_tuples_before),
        "dead_tuples_after": dg.MetadataValue.int(result.dead_tuples_after),
        "stopped_reason": dg.MetadataValue.text(result.stopped_reason),
        "outcome": dg.MetadataValue.text(result.outcome),
        "seconds_paused": dg.MetadataValue.float(round(result.pausing, 3)),
        "wal_bytes": dg.MetadataValue.int(result.wal_bytes),
    }
    if result.left is not None:
        shown["rows_left"] = dg.MetadataValue.int(result.left)
    if result.archived:
        shown["rows_archived"] = dg.MetadataValue.int(result.archived)
        shown["archive_bytes"] = dg.MetadataValue.int(result.bytes)
    if result.oldest is not None:
        shown["oldest_row_left"] = dg.MetadataValue.timestamp(result.oldest)
    if result.method:
        shown["method"] = dg.MetadataValue.text(result.method)
    if "plan" in result.details:
        shown["approve"] = dg.MetadataValue.text(str(result.details["plan"]))
    return {**shown, **_tables(kind, result)}


def _tables(kind: Kind[Any], result: RunResult) -> Metadata:
    return {
        title: dg.MetadataValue.table([dg.TableRecord(_in_cells(row)) for row in result.details[key]])
        for title, key in kind.detail_tables.items()
        if result.details.get(key)
    }


def _in_cells(row: Mapping[str, object]) -> dict[str, str | int | float | bool]:
    return {
        name: "" if value is None else cast("str | int | float | bool", value) for name, value in row.items()
    }


def plan(planned: Plan | Unplanned) -> Metadata:
    """What a run would do."""
    if isinstance(planned, Unplanned):
        return {"problem": dg.MetadataValue.text(planned.problem)}
    shown: dict[str, dg.MetadataValue] = {
        "method": dg.MetadataValue.text(planned.method.name),
        "dead_tuples": dg.MetadataValue.int(planned.dead_tuples),
    }
    if planned.rows is not None:
        shown |= _rows(planned.rows)
    for title, rows in planned.tables().items():
        if rows:
            shown[title] = dg.MetadataValue.table([dg.TableRecord(_in_cells(row)) for row in rows])
    if planned.advice:
        shown["advice"] = dg.MetadataValue.text("\n".join(planned.advice))
    if planned.refusals:
        shown["refused"] = dg.MetadataValue.text("; ".join(planned.refusals))
    if planned.needs_approval:
        shown["needs_approval"] = dg.MetadataValue.text("; ".join(planned.needs_approval))
    return shown


def _rows(rows: RowCount) -> Metadata:
    shown: dict[str, dg.MetadataValue] = {
        "rows_eligible": dg.MetadataValue.int(rows.eligible),
        "rows_total": dg.MetadataValue.int(rows.total),
        "fraction": dg.MetadataValue.float(round(rows.fraction, 6)),
        "rows_on_hold": dg.MetadataValue.int(rows.held),
        "counted": dg.MetadataValue.bool(rows.exact),
    }
    if rows.oldest is not None:
        shown["oldest_eligible"] = dg.MetadataValue.timestamp(rows.oldest)
    if rows.newest is not None:
        shown["newest_eligible"] = dg.MetadataValue.timestamp(rows.newest)
    return shown


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
