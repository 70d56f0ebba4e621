"""Restores archived rows into a table: all of them, bit by bit, or none. Loads Arrow."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive import foreign_keys, manifest, sequences, staging
from ops_pipeline.archive import target as targets
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.arrow_session import ArrowSession, startup_options
from ops_pipeline.archive.foreign_keys import MissingParents
from ops_pipeline.archive.insert import insert
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.staging import Staged
from ops_pipeline.archive.target import UNTOUCHED, RestoreRefusedError
from ops_pipeline.archive.triggers import Trigger, insert_triggers, switched_off
from ops_pipeline.audit import trail
from ops_pipeline.holds import holds
from ops_pipeline.nearest import nearest
from ops_pipeline.opsctl import opsctl
from ops_pipeline.partitions.partition import partition_key
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres.connection import Connection, database_of, url_of
from ops_pipeline.postgres.locks import TableLock, with_short_lock
from ops_pipeline.postgres.relation import PUBLIC, TableName, split_name
from ops_pipeline.postgres.row_security import hidden

WORKER = "restore"
"""Used instead of a policy's name in the worker's advisory lock, so that one restore runs at a time."""

REASON = "restored from the archive"
"""The reason that is recorded where none is given."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: `rows` of `table`, of the days from `first` to `last`, into the table `into`.

    `hold`: the hold that protects them from the next run; None where they went into another table.
    `skipped_files`: files whose rows had been restored before. `missing_parents`: the rows that were restored
    with what their foreign key sets for a deleted parent. `triggers_off`: the triggers that did not fire.
    `sequences`: the sequences that were advanced beyond the restored rows.
    """

    table: str
    into: str
    rows: int
    files: int
    first: date | None
    last: date | None
    hold: int | None
    skipped_files: int
    missing_parents: tuple[MissingParents, ...] = ()
    triggers_off: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()


def restore(  # noqa: PLR0913 - each is one option of the command
    connection: Connection,
    archive: Archive,
    table: str,
    *,
    first: date | None,
    last: date | None,
    into: str | None = None,
    triggers: bool = False,
    by: str,
    reason: str = REASON,
) -> Restored:
    """Restores the rows of the days from `first` to `last` (UTC, both included; None: no bound).

    They are inserted into the table they came from, or into `into`, which is created when it does not exist.
    All in one transaction, with a hold on them and an audit event, both by `by` and for that `reason`, and a
    record in `ops.archives`; only partitions for their days are created before it. The table's triggers do
    not fire unless `triggers` is true; while they are disabled, other writers of the table wait.

    Raises RestoreRefusedError, staging.DamagedError, ArchiveError, StorageError, ArrowSessionBusyError,
    holds.HoldRefusedError, LockedError and psycopg.Error. Nothing is restored then.
    """
    archived = archived_table(connection, table)
    recorded = manifest.of_days(connection, archived.schema, archived.name, first, last)
    archive.publish_committed(connection, [file for file in recorded if file.stored_at is None])
    own = archived.qualified
    existing = targets.target(connection, into or own)
    if existing is not None and (problems := hidden(connection, (), [existing.relation])):
        raise RestoreRefusedError(f"{'; '.join(problems)}. Nothing was restored")
    firing = [] if triggers or existing is None else insert_triggers(connection, existing.relation)
    if not recorded:
        raise RestoreRefusedError(none_archived(connection, own))
    files = _still_to_restore(recorded, own, str(existing.relation) if existing else str(into))
    targets.check_types(connection, [column for file in files for column in file.columns])
    if into is None and any(file.day_column is None for file in files):
        raise RestoreRefusedError(
            f"The rows of {own} were deleted as orphans, or by cascade, not by a time column that a hold "
            f"could use to protect them: the next run might delete them again. {UNTOUCHED}"
        )
    with (
        ArrowSession(
            url_of(connection),
            WORKER,
            "ops restore",
            options=startup_options(connection),
            again=_command(connection, table, first, last, into, triggers=triggers),
        ) as worker,
        staging.staged(connection, worker, archive.storage, files) as staged,
    ):
        _make_days(connection, into or own, staged)

        def put_back() -> Restored:
            return _put_back(connection, staged, own, into, by, reason, firing, len(recorded) - len(files))

        try:
            if existing is not None and firing:
                lock = TableLock(existing.relation.oid, "ShareRowExclusiveLock")
                purpose = f"Disabling the triggers of {existing.relation}"
                return with_short_lock(connection, lock, put_back, purpose=purpose)
            with connection.transaction():
                return put_back()
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.UndefinedObject) as error:
            raise RestoreRefusedError(_not_taken(connection, into or own, error)) from error


def _command(
    connection: Connection,
    table: str,
    first: date | None,
    last: date | None,
    into: str | None,
    *,
    triggers: bool,
) -> str:
    given = {"--table": table, "--from": first, "--to": last, "--into": into}
    options = [word for name, value in given.items() if value is not None for word in (name, value)]
    if triggers:
        options.append("--triggers")
    return opsctl("archive", "restore", *options, database=database_of(connection))


def archived_table(connection: Connection, text: str) -> TableName:
    """The table of that name, or `schema.table`, of which rows are archived. It need not exist any more.

    Raises RestoreRefusedError, which names similar tables.
    """
    try:
        table = TableName.parse(text)
    except ValueError as error:
        raise RestoreRefusedError(f"table: {error}") from error
    tables = [TableName(*row) for row in connection.execute(sql.get("archive/tables"))]
    if table in tables:
        return table
    elsewhere = [other for other in tables if other.name == table.name and table.schema == PUBLIC]
    if elsewhere and split_name(text) == [table.name]:
        return elsewhere[0]
    names = [str(other) for other in tables]
    raise RestoreRefusedError(
        f'No rows of a table "{text}" were archived; {nearest(text, names)}'
        if names
        else "The archive of this database has no files"
    )


def none_archived(connection: Connection, table: object) -> str:
    """The sentence that no file has rows of the table and the days."""
    to_list = opsctl("archive", "list", database=database_of(connection))
    return f"No rows of {table} were archived for these days. To list the archived days: {to_list}"


def _still_to_restore(recorded: Sequence[ArchivedFile], own: str, into: str) -> list[ArchivedFile]:
    files = [
        file for file in recorded if file.restored_into != into and not _archived_again(file, recorded, own)
    ]
    if not files:
        last = max(file.restored_at for file in recorded if file.restored_at)
        raise RestoreRefusedError(
            f"Nothing was restored: these rows of {own} were already restored into "
            f"{recorded[-1].restored_into}, the last on {last:%Y-%m-%d %H:%M} UTC. They are still there, or "
            "were archived again since"
        )
    return files


def _archived_again(file: ArchivedFile, recorded: Sequence[ArchivedFile], own: str) -> bool:
    # Rows that were restored into their own table and expired again are in a newer file of their day.
    return file.restored_into == own and any(
        newer.day == file.day and file.restored_at is not None and newer.created_at > file.restored_at
        for newer in recorded
    )


def _make_days(connection: Connection, table: str, staged: Sequence[Staged]) -> None:
    target = targets.target(connection, table)
    if target is None:
        return
    key = partition_key(connection, target.relation)
    for one_schema in staged:
        column = next((column for column in one_schema.columns if column.name == key), None)
        if column is None:
            continue
        statement = compose.SQL(sql.get("archive/days_of")).format(
            moment=one_schema.value(column), staging=one_schema.identifier
        )
        for (day,) in connection.execute(statement).fetchall():
            premake_days(connection, target.relation, day, day)


def _put_back(
    connection: Connection,
    staged: Sequence[Staged],
    own: str,
    into: str | None,
    by: str,
    reason: str,
    firing: Sequence[Trigger],
    skipped_files: int,
) -> Restored:
    files = [file for one_schema in staged for file in one_schema.files]
    connection.execute(sql.get("archive/read_exactly"))
    target = targets.target(connection, into or own)
    if target is None and into is None:
        raise RestoreRefusedError(f"{own} no longer exists. {UNTOUCHED}")
    if target is None:
        target = targets.create(connection, str(into), [one_schema.columns for one_schema in staged])
    numbering = sequences.sequences(connection, target)
    missing_parents = foreign_keys.apply(connection, staged, target)
    with switched_off(connection, firing):
        for one_schema in staged:
            insert(connection, one_schema, target)
    manifest.record_restored(connection, files, str(target.relation))
    restored = Restored(
        table=own,
        into=str(target.relation),
        rows=sum(file.rows for file in files),
        files=len(files),
        first=min((file.day for file in files if file.day), default=None),
        last=max((file.day for file in files if file.day), default=None),
        hold=_hold(connection, files, own, by, reason) if str(target.relation) == own else None,
        skipped_files=skipped_files,
        missing_parents=missing_parents,
        triggers_off=tuple(map(str, firing)),
        sequences=sequences.move_on(connection, numbering, staged),
    )
    _record(connection, restored, by, reason)
    return restored


def _hold(connection: Connection, files: Sequence[ArchivedFile], table: str, by: str, reason: str) -> int:
    column = files[-1].day_column or ""
    days = [file.day for file in files if file.day is not None]
    quoted = '"' + column.replace('"', '""') + '"'
    bounds = []
    if days and len(days) == len(files):
        bounds.append(f"{quoted} >= '{min(days)}'")
    if days:
        bounds.append(f"{quoted} <= '{max(days)}T23:59:59.999999'")
    where = " AND ".join(bounds or [f"{quoted} < '0001-01-02'"])
    return holds.add(connection, table, where, reason=reason, owner=by, by=by).id


def _record(connection: Connection, restored: Restored, by: str, reason: str) -> None:
    details = {
        "table": restored.table,
        "into": restored.into,
        "rows": restored.rows,
        "files": restored.files,
        "first": restored.first.isoformat() if restored.first else None,
        "last": restored.last.isoformat() if restored.last else None,
        "hold": restored.hold,
        "reason": reason,
        "missing_parents": [asdict(missing) for missing in restored.missing_parents],
        "triggers_off": restored.triggers_off,
    }
    trail.record(connection, "archive.restored", details, by=by)


def _not_taken(connection: Connection, table: str, error: psycopg.Error) -> str:
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    existing = targets.target(connection, table)
    remedy = (
        foreign_keys.unreadable(connection, existing.relation, error.diag.constraint_name) if existing else ""
    )
    problem = f"{error.diag.message_primary}{detail}"
    return f"These rows cannot be restored into {table}: {problem}. {UNTOUCHED}{remedy}"
