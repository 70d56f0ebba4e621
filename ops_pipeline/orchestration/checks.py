"""What must hold after a night. Each check only reads, and an operator may run it at any time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import audited, catalog, history
from ops_pipeline.maintenance.archive import location, manifest
from ops_pipeline.maintenance.archive.archive import Archive
from ops_pipeline.maintenance.archive.verify import verify_parts
from ops_pipeline.maintenance.orphans import reference, track
from ops_pipeline.maintenance.partitions import missing, pending
from ops_pipeline.maintenance.retention import expired
from ops_pipeline.maintenance.vacuum import left
from ops_pipeline.orchestration import assets
from ops_pipeline.orchestration.databases import Databases
from ops_pipeline.settings import load

Number = int | float | str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. With `needs_a_person` the run fails as well, which is what people are told of."""

    passed: bool
    description: str
    metadata: Mapping[str, Number] = field(default_factory=dict)
    needs_a_person: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A question to the database. `blocking`: where it fails, what comes after the policy is not done."""

    name: str
    description: str
    ask: Callable[[Connection], Verdict]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    blocking: bool = False


def of(database: policy.Database) -> list[dg.AssetChecksDefinition]:
    """The checks of a database's policies, those of one policy in one step."""
    return [
        _definition(database, rule, checks) for rule in database.policies if (checks := list(_checks(rule)))
    ]


def _checks(rule: policy.Policy) -> Iterator[Check]:
    match rule:
        case policy.Retention():
            yield _nothing_expired_left(rule)
            yield _let_through(rule)
            if rule.partition == "day":
                yield _days_ahead(rule)
                yield _no_detach_pending(rule)
            if rule.archive:
                yield _archive_verified(rule)
        case policy.Orphans():
            yield _nothing_orphaned_left(rule)
            if rule.track:
                yield _record_is_complete(rule)
            yield _let_through(rule)
            if rule.archive:
                yield _archive_verified(rule)
        case policy.Vacuum():
            yield _dead_rows_removed(rule)
            yield _transaction_age(rule)


def _nothing_expired_left(rule: policy.Retention) -> Check:
    def ask(connection: Connection) -> Verdict:
        before = expired.due(connection, rule)
        rows = expired.left(connection, rule, before)
        return Verdict(
            rows == 0,
            f"{rows:,} rows of {rule.table} are older than {before:%Y-%m-%d %H:%M} UTC",
            {"rows_left": rows},
        )

    return Check(
        "nothing_expired_left",
        f"No row of {rule.table} is left that the last run should have removed.",
        ask,
    )


def _nothing_orphaned_left(rule: policy.Orphans) -> Check:
    def ask(connection: Connection) -> Verdict:
        rows = reference.unattended(connection, reference.of(connection, rule))
        return Verdict(
            rows == 0,
            f"{rows:,} rows of {rule.table} have a {rule.reference} that {rule.parent} lacks and are not in "
            "their grace",
            {"rows_left": rows},
        )

    return Check(
        "nothing_orphaned_left",
        f"Every {rule.reference} in {rule.table} names a row of {rule.parent}, or waits out its grace.",
        ask,
    )


def _record_is_complete(rule: policy.Orphans) -> Check:
    def ask(connection: Connection) -> Verdict:
        unrecorded, some = track.last_audit(connection, rule)
        return Verdict(
            unrecorded == 0,
            f"{unrecorded:,} missing rows of {rule.parent} had not been recorded",
            {"unrecorded": unrecorded, "some_of_them": str(some)},
        )

    return Check(
        "record_is_complete",
        f"The last sweep found no missing row of {rule.parent} that its triggers had not recorded.",
        ask,
    )


def _let_through(rule: policy.Retention | policy.Orphans) -> Check:
    def ask(connection: Connection) -> Verdict:
        last = history.last(connection, rule.name)
        if last is None or last.outcome != "guarded":
            return Verdict(True, "The guard had nothing against the last run")
        return Verdict(False, last.stopped_reason, needs_a_person=True)

    return Check(
        "let_through",
        "The guard has not stopped the last run. If it has, somebody looks at the plan and approves it, or "
        "mends the policy.",
        ask,
    )


def _days_ahead(rule: policy.Retention) -> Check:
    def ask(connection: Connection) -> Verdict:
        without = missing.ahead(connection, rule.table, DAYS_NEEDED)
        days = ", ".join(f"{day:%Y-%m-%d}" for day in without)
        return Verdict(
            not without,
            f"There are no partitions for {days}" if without else f"The next {DAYS_NEEDED} days have theirs",
            {"days_missing": len(without)},
        )

    return Check(
        "days_ahead",
        f"Partitions of {rule.table} exist for the next {DAYS_NEEDED} days. Rows of a day without one go to "
        "the default partition, or are refused.",
        ask,
    )


def _no_detach_pending(rule: policy.Retention) -> Check:
    def ask(connection: Connection) -> Verdict:
        names = pending.interrupted(connection, catalog.relation(connection, rule.table))
        return Verdict(
            not names,
            f"Interrupted: {', '.join(names)}. Rows of these times are refused" if names else "None",
            {"pending": len(names)},
        )

    return Check(
        "no_detach_pending",
        f"No detach of a partition of {rule.table} was interrupted half way; the next run would complete it.",
        ask,
    )


def _archive_verified(rule: policy.Retention | policy.Orphans) -> Check:
    def ask(connection: Connection) -> Verdict:
        table = catalog.relation(connection, rule.table)
        parts = manifest.of_days(connection, table.schema, table.name, None, None)
        damaged = [each.path for each in parts if each.verified_ok is False]
        newest = sorted(parts, key=lambda each: each.id)[-READ_AGAIN:]
        archive = Archive(location.storage(load().archive_url), connection)
        found = verify_parts(connection, archive, newest, by=audited.SYSTEM).problems if newest else ()
        wrong = [*found, *(f"{path} was found damaged before" for path in damaged)]
        return Verdict(
            not wrong,
            "; ".join(wrong) or f"{len(newest)} of {len(parts)} files were read again and are as written",
            {"files": len(parts), "damaged": len(wrong)},
            needs_a_person=bool(wrong),
        )

    return Check(
        "archive_verified",
        f"The newest {READ_AGAIN} files of {rule.table} in the archive are read again and are what was "
        "written, and none was found damaged before. Where one is, VACUUM waits: until then what was removed "
        "can still be read from the table's pages.",
        ask,
        blocking=True,
    )


def _dead_rows_removed(rule: policy.Vacuum) -> Check:
    def ask(connection: Connection) -> Verdict:
        found = left.dead_rows(connection, rule)
        return Verdict(
            not found.tables,
            f"{found.dead:,} dead rows are still in {', '.join(found.tables)}: {found.reason}"
            if found.tables
            else "The last run has left no dead rows that it was to remove",
            {"dead_tuples": found.dead, "tables": len(found.tables)},
        )

    return Check(
        "dead_rows_removed",
        "The last run could remove the dead rows it was there for. Where it could not, somebody still holds "
        "on to them or has locked the table, and is named.",
        ask,
    )


def _transaction_age(rule: policy.Vacuum) -> Check:
    def ask(connection: Connection) -> Verdict:
        table = left.oldest(connection, rule)
        if table is None:
            return Verdict(True, "There are no tables")
        return Verdict(
            table.age_share < 1,
            f"{table} is the oldest: {table.age:,} transactions and {table.multixact_age:,} multixacts, "
            f"{table.age_share:.0%} of where autovacuum must come",
            {"age": table.age, "multixact_age": table.multixact_age, "share": round(table.age_share, 4)},
            needs_a_person=max(table.age, table.multixact_age) >= FAR_TOO_OLD,
        )

    return Check(
        "transaction_age",
        "No table is so old that autovacuum must come to it at once. VACUUM freezes each at half that age; "
        f"one that gets there all the same is kept old by somebody. At {FAR_TOO_OLD:,} the run fails: "
        "PostgreSQL takes no writes any more at about twice that.",
        ask,
    )


FAR_TOO_OLD = 1_000_000_000
READ_AGAIN = 5
"""Each file was read back when it was written. This looks whether the storage has kept it since."""
DAYS_NEEDED = 3
"""A weekend's worth: fewer partitions ahead leave no time to mend what keeps them from being made."""


def _definition(
    database: policy.Database, rule: policy.Policy, checks: Sequence[Check]
) -> dg.AssetChecksDefinition:
    asset = assets.key(rule)

    @dg.multi_asset_check(
        name=f"{asset.to_python_identifier()}_checks",
        specs=[
            dg.AssetCheckSpec(each.name, asset=asset, description=each.description, blocking=each.blocking)
            for each in checks
        ],
        can_subset=True,
    )
    def ask(context: dg.AssetCheckExecutionContext, databases: Databases) -> Iterator[dg.AssetCheckResult]:
        wanted = {selected.name for selected in context.selected_asset_check_keys}
        told: list[str] = []
        with databases.connect(database, f"check {rule.name}", context.run.run_id) as connection:
            for each in checks:
                if each.name in wanted:
                    verdict = each.ask(connection)
                    told += [verdict.description] if verdict.needs_a_person else []
                    yield _as_result(asset, each, verdict)
        if told and not databases.dry_run:
            raise dg.Failure("; ".join(told), allow_retries=False)

    return ask


def _as_result(asset: dg.AssetKey, check: Check, verdict: Verdict) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=verdict.passed,
        severity=check.severity,
        description=verdict.description,
        metadata=dict(verdict.metadata),
    )
