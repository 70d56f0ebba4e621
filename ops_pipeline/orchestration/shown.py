"""What the UI shows of a policy, of its plan, and of what it did."""

from collections.abc import Mapping
from typing import cast

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from ops_pipeline import policy
from ops_pipeline.maintenance.plan import Planned, Unplanned
from ops_pipeline.maintenance.result import Result

Metadata = Mapping[str, dg.MetadataValue]

NOTHING = cast("dg.DagsterType", dg.Nothing)
"""What a step hands on: its effect is in the database, and there is nothing to store. Dagster takes it as a
type of its own, and its annotations do not say so."""


def description(rule: policy.Policy) -> str:
    """What the policy does, for somebody who has never seen it."""
    match rule:
        case policy.Retention():
            kept = f"{rule.keep.days} days" if rule.keep.days else f"{rule.keep}"
            archived = (
                " Each row is written to the archive and read back before it goes; "
                f"the days are in `{rule.database}/archive/{rule.table}_archived`."
                if rule.archive
                else ""
            )
            return (
                f"Removes rows of **{rule.table}** whose `{rule.column}` is older than {kept}, in small "
                f"batches that give way to the application.{archived} Rows on hold stay."
            )
        case policy.Orphans():
            return (
                f"Removes rows of **{rule.table}** whose `{rule.reference}` names no row of "
                f"**{rule.parent}**, and has not for the grace. A row that names none is "
                f"{'an orphan too' if rule.null_is_orphan else 'kept'}."
            )
        case policy.Vacuum():
            which = "every table" if rule.tables == "all" else ", ".join(rule.tables)
            return (
                f"VACUUM{' (ANALYZE)' if rule.analyze else ''} of {which}"
                f"{' that needs it, the most urgent first' if rule.mode == 'needed' else ''}: the room of "
                "what the night has removed can be used again."
            )


def metadata(result: Result) -> Metadata:
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
    return {**shown, **_of_vacuum(result)}


def _of_vacuum(result: Result) -> Metadata:
    """What VACUUM brought each table, whom it left alone, and who was in its way."""
    named = {
        "gains": "tables",
        "left_alone": "skipped",
        "indexes": "indexes",
        "advice": "advice",
        "blockers": "blockers",
    }
    return {
        name: dg.MetadataValue.table([dg.TableRecord(_in_cells(row)) for row in result.details[key]])
        for name, key in named.items()
        if result.policy.endswith("/vacuum") and result.details.get(key)
    }


def _in_cells(row: Mapping[str, object]) -> dict[str, str | int | float | bool]:
    return {
        name: "" if value is None else cast("str | int | float | bool", value) for name, value in row.items()
    }


def plan(planned: Planned | Unplanned) -> Metadata:
    """What a run would do."""
    if isinstance(planned, Unplanned):
        return {"problem": dg.MetadataValue.text(planned.problem)}
    shown: dict[str, dg.MetadataValue] = {
        "rows_eligible": dg.MetadataValue.int(planned.eligible),
        "rows_total": dg.MetadataValue.int(planned.total),
        "fraction": dg.MetadataValue.float(round(planned.fraction, 6)),
        "rows_on_hold": dg.MetadataValue.int(planned.held),
        "dead_tuples": dg.MetadataValue.int(planned.dead_tuples),
        "method": dg.MetadataValue.text(planned.method),
        "counted": dg.MetadataValue.bool(planned.exact),
    }
    if planned.oldest is not None:
        shown["oldest_eligible"] = dg.MetadataValue.timestamp(planned.oldest)
    if planned.newest is not None:
        shown["newest_eligible"] = dg.MetadataValue.timestamp(planned.newest)
    if planned.tables:
        rows = [
            dg.TableRecord(
                {
                    "table": each.table,
                    "action": each.action,
                    "reason": each.reason,
                    "bloat": str(each.bloat or ""),
                    "index_bloat": str(each.index_bloat or ""),
                }
            )
            for each in planned.tables
        ]
        shown["tables"] = dg.MetadataValue.table(rows)
    if planned.advice:
        shown["advice"] = dg.MetadataValue.text("\n".join(planned.advice))
    if planned.indexes:
        of_indexes = [
            dg.TableRecord({"index": each.index, "action": each.action, "reason": each.reason})
            for each in planned.indexes
        ]
        shown["indexes"] = dg.MetadataValue.table(of_indexes)
    if planned.stops:
        shown["guard_would_stop"] = dg.MetadataValue.text("; ".join(planned.stops))
    return shown


def in_words(planned: Planned | Unplanned) -> str:
    """A plan in a line, for the run's log."""
    if isinstance(planned, Unplanned):
        return f"{planned.policy}: {planned.problem}"
    stopped = f"; the guard would stop it: {'; '.join(planned.stops)}" if planned.stops else ""
    return (
        f"{planned.policy} would remove {planned.eligible:,} of {planned.total:,} rows "
        f"({planned.fraction:.1%}){stopped}"
    )


def not_materialized() -> dg.Output[None]:
    """The step's output, which lets what comes after it go on, without a materialization of the asset.

    An output that is never yielded would have every later step skipped. With this mark Dagster leaves the
    telling to the step itself, as it does for observable source assets.
    """
    return dg.Output(None, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
