"""The check that a policy's newest archived files can still be read. Loads Arrow."""

from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive, without_a_copy
from ops_pipeline.archive.verify import verify_again, verify_files
from ops_pipeline.audit import trail
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.check import CheckResult
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import find_relation
from ops_pipeline.settings import load
from ops_pipeline.storage import location

READ_AGAIN = 5
"""How many of the newest files are read. Each was read back when it was written; this checks the storage."""


def newest_files(connection: Connection, policy: DeletingPolicy) -> CheckResult:
    """Reads the newest files of the policy's table again; fails for any file that was ever found damaged."""
    table = find_relation(connection, policy.table)
    files = manifest.of_days(connection, table.schema, table.name, None, None)
    if not files:
        return CheckResult(True, f"No file of {table} has been archived yet", {"files": 0, "damaged": 0})
    newest = sorted(files, key=lambda file: file.id)[-READ_AGAIN:]
    archive = Archive(location.storage(load().archive_url), connection)
    problems = verify_files(connection, archive, newest, by=trail.SYSTEM).problems
    damaged = [file.path for file in files if file.verified_ok is False and file not in newest]
    if damaged:
        were = counted(len(damaged), "older file was", "older files were")
        problems = (
            *problems,
            f"{were} found damaged before, the first is {damaged[0]}. Put each back from a copy of the "
            f"storage, then run `{verify_again(connection)}`. {without_a_copy(connection, damaged[0])}",
        )
    return CheckResult(
        not problems,
        "; ".join(problems)
        or f"The newest files ({len(newest)} of {len(files):,}) were read again and match what the database "
        "recorded",
        {"files": len(files), "damaged": len(problems)},
        fails_run=bool(problems),
    )
