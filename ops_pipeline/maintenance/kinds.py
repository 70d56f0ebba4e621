"""The table of all kinds of policies, and the functions that load, check, plan and run any of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from ops_pipeline.holds.holds import HoldUnclearError
from ops_pipeline.maintenance import references, refusals, run
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.kind import Kind
from ops_pipeline.maintenance.lock_wait import TableLockedError, locks_named
from ops_pipeline.maintenance.orphans.kind import ORPHANS
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import (
    LIMIT_SECONDS,
    RUN_LIMIT_SECONDS,
    DeletePlan,
    Plan,
    PlannedDeletion,
    Planning,
    Unplanned,
)
from ops_pipeline.maintenance.reach import root
from ops_pipeline.maintenance.result import RefusedError, RunResult
from ops_pipeline.maintenance.retention.kind import RETENTION
from ops_pipeline.maintenance.vacuum.kind import VACUUM
from ops_pipeline.policies import load as policies_file
from ops_pipeline.policies.connection import connect_to
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import DeletingPolicy, Policies, Policy
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError
from ops_pipeline.postgres.ready import NotMigratedError, refuse_unmigrated
from ops_pipeline.postgres.relation import find_relation
from ops_pipeline.postgres.rights import explanation
from ops_pipeline.settings import Settings
from ops_pipeline.settings import load as load_settings

KINDS: Sequence[Kind[Any]] = (RETENTION, ORPHANS, VACUUM)
"""In the order in which a run carries them out."""


def load(path: Path) -> Policies:
    """The policies in that file. Raises PolicyError with every problem found."""
    return policies_file.load(path, KINDS)


def kind_of(policy: Policy) -> Kind[Any]:
    """The kind that knows how to plan the policy, carry it out and check on it."""
    return next(kind for kind in KINDS if kind.name == policy.kind)


def check(connection: Connection, policies: Sequence[Policy]) -> None:
    """Checks the policies of one database against its tables and columns.

    Raises PolicyError with every problem found. Changes nothing.
    """
    problems = [problem for policy in policies for problem in kind_of(policy).problems(connection, policy)]
    if problems:
        raise PolicyError(problems)


def refusals_of(planning: Planning, policy: DeletingPolicy) -> list[str]:
    """Why a run would refuse the policy, as far as settings and catalogs tell, without counting rows. Raises
    LookupError where a table does not exist, and psycopg.Error."""
    connection = planning.connection
    table = find_relation(connection, policy.table)
    parent = find_relation(connection, policy.parent) if isinstance(policy, Orphans) else None
    try:
        refusals.refuse_hidden_rows(connection, policy, table, *([parent] if parent else []))
    except RefusedError as error:
        return [str(error)]
    return list(refusals.table_refusals(planning, policy, table, parent))


def plan(
    connection: Connection,
    policies: Sequence[Policy],
    *,
    archive_url: str | None = None,
    limit_seconds: float = LIMIT_SECONDS,
) -> Iterator[Plan | Unplanned]:
    """What each of these policies of one database would do if it ran now, in the order of a run. Reads only.

    `archive_url`: OPS_ARCHIVE_URL; without it a policy that archives is refused.
    """
    yield from _plan(connection, policies, [], archive_url, limit_seconds)


def _plan(
    connection: Connection,
    policies: Sequence[Policy],
    deleted: list[PlannedDeletion],
    archive_url: str | None,
    limit_seconds: float,
) -> Iterator[Plan | Unplanned]:
    """As `plan`; what each policy would delete is added to `deleted`."""
    observed = {policy.name for policy in policies if policy.observe}
    for policy in children_first(connection, policies):
        kind = kind_of(policy)
        # What an observed policy would delete remains for a policy that is enforced.
        before = [each for each in deleted if policy.observe or each.policy not in observed]
        planning = Planning(connection, limit_seconds, archive_url, before=before)
        try:
            with locks_named(connection):
                problems = kind.problems(connection, policy)
                planned = None if problems else kind.plan(planning, policy)
            if planned is None:
                yield Unplanned(policy.name, "\n".join(problems))
                continue
            # A policy that is refused deletes nothing, so the policies after it must not count on that.
            if not planned.refusals:
                deleted += [each for each in planning.before if each.policy == policy.name]
            yield planned
        except (RefusedError, HoldUnclearError, TableLockedError) as error:
            yield Unplanned(policy.name, str(error))
        except psycopg.Error as error:
            yield Unplanned(policy.name, _why(connection, error))


def _why(connection: Connection, error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        try:
            refuse_unmigrated(connection)
        except NotMigratedError as cause:
            return str(cause)
    if isinstance(error, psycopg.errors.InsufficientPrivilege) and (
        lacking := explanation(connection, error)
    ):
        return lacking
    return (error.diag.message_primary or str(error)).strip()


def children_first(connection: Connection, policies: Sequence[Policy]) -> Sequence[Policy]:
    """The policies in the order of a run: as given, but children before those whose deletes reach them, or
    whose rows they keep."""
    done: list[Policy] = []
    begun: list[Policy] = []

    def add(policy: Policy) -> None:
        if policy in begun:
            return
        begun.append(policy)  # where policies refer to each other, the one reached last comes first
        for child in children(connection, policy, policies):
            add(child)
        done.append(policy)

    for policy in policies:
        add(policy)
    return done


def children(connection: Connection, policy: Policy, policies: Sequence[Policy]) -> Sequence[Policy]:
    """The policies that delete by age from tables into which this one's deletes cascade, or whose rows keep
    the rows they refer to."""
    others = [
        other
        for other in policies
        if other is not policy and isinstance(other, DeletingPolicy) and other.max_age() is not None
    ]
    if not others or not isinstance(policy, DeletingPolicy) or policy.max_age() is None:
        return ()
    try:
        keeping = references.keeping(connection, find_relation(connection, policy.table))
    except LookupError:
        return ()  # the policy itself reports it
    roots = {root(connection, table) for table in keeping}
    return [other for other in others if _root(connection, other) in roots]


def _root(connection: Connection, policy: DeletingPolicy) -> int | None:
    try:
        return root(connection, find_relation(connection, policy.table))
    except LookupError:
        return None


def plan_all(
    policies: Policies, environment: Mapping[str, str], *, limit_seconds: float = LIMIT_SECONDS
) -> Iterator[Plan | Unplanned]:
    """What every policy of every database would do now, in the order of the file.

    Each database has its own connection; one that does not answer leaves its policies unplanned.
    """
    for database in policies.databases:
        try:
            with connect_to(database, environment, "ops plan") as connection:
                yield from plan(
                    connection,
                    database.policies,
                    archive_url=environment.get("OPS_ARCHIVE_URL"),
                    limit_seconds=limit_seconds,
                )
        except (DatabaseUnavailableError, PolicyError) as error:
            yield from (Unplanned(policy.name, str(error)) for policy in database.policies)


def carry_out(
    connection: Connection,
    policy: Policy,
    *,
    settings: Settings | None = None,
    dagster_run_id: str | None = None,
    stop: Callable[[], str | None] = run.never,
    report: Callable[[str], None] = run.silently,
) -> RunResult:
    """Carries the policy out; see `run.run_policy`.

    Where it needs approval, the policies that would then delete the orphans it makes may need it too: their
    plans are stored with its own, and approved with it.
    """
    given = settings or load_settings()
    result = run.run_policy(
        connection,
        kind_of(policy),
        policy,
        settings=given,
        dagster_run_id=dagster_run_id,
        stop=stop,
        report=report,
        before=lambda: _observed_before(connection, policy, given.archive_url),
    )
    if result.outcome == "needs_approval" and isinstance(policy, DeletingPolicy):
        _store_followers(connection, policy, result.details["plan"], given.archive_url)
    return result


def _observed_before(
    connection: Connection, policy: Policy, archive_url: str | None
) -> Sequence[PlannedDeletion]:
    """What the observed policies before it would have deleted in this run, of those it depends on."""
    if not isinstance(policy, DeletingPolicy):
        return ()
    in_order = children_first(connection, [other for other in policy.deleting if other.observe])
    names = [other.name for other in in_order]
    chain: list[Policy] = []

    def add(dependent: Policy) -> None:
        earlier = in_order[: names.index(dependent.name)]
        makes_orphans = kind_of(dependent).after(dependent, earlier)
        for other in (*makes_orphans, *children(connection, dependent, earlier)):
            if other not in chain:
                add(other)
                chain.append(other)

    add(policy)
    deleted: list[PlannedDeletion] = []
    for _ in _plan(connection, chain, deleted, archive_url, RUN_LIMIT_SECONDS):
        pass  # a policy that cannot be planned says so in its own run
    return deleted


def _store_followers(
    connection: Connection, policy: DeletingPolicy, plan_id: str, archive_url: str | None
) -> None:
    chain: list[Policy] = [policy]
    for other in policy.deleting:
        if other.observe or any(other.name == earlier.name for earlier in chain):
            continue
        if kind_of(other).after(other, chain):
            chain.append(other)
    plans = list(plan(connection, chain, archive_url=archive_url))
    for follower, planned in zip(chain[1:], plans[1:], strict=True):
        if (
            isinstance(follower, DeletingPolicy)
            and isinstance(planned, DeletePlan)
            and planned.needs_approval
        ):
            guard.store(connection, follower, planned, now=datetime.now(UTC), follows=plan_id)
