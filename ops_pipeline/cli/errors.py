"""The errors that a command reports in a sentence, and their exit codes. Loaded only when there is one."""

import psycopg

from ops_pipeline import settings
from ops_pipeline.access.keys import KeyRefusedError
from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.archive.arrow_session import ArrowSessionBusyError
from ops_pipeline.archive.staging import DamagedError
from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.cli.up.sample_application import DemoRefusedError
from ops_pipeline.forward.position import ForwardError
from ops_pipeline.forward.target import ForwardRefusedError
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.orphans.triggers import TrackRefusedError
from ops_pipeline.partitions.adopt.adoption import AdoptionError
from ops_pipeline.partitions.adopt.obstacles import AdoptionRefusedError
from ops_pipeline.partitions.default_rows import DefaultRowsRemainError
from ops_pipeline.pauses.pauses import PauseRefusedError
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.condition import PredicateError
from ops_pipeline.postgres.connection import DatabaseUnavailableError
from ops_pipeline.postgres.locks import LockedError
from ops_pipeline.postgres.migrations import TakenError
from ops_pipeline.postgres.rights import MissingRightError
from ops_pipeline.storage.storage import StorageError, StorageUrlError

WRONG_INPUT = (
    settings.SettingsError,
    PolicyError,
    KeyRefusedError,
    AdoptionRefusedError,
    holds.HoldRefusedError,
    StorageUrlError,
    PredicateError,
    approvals.ApprovalRefusedError,
    TrackRefusedError,
    PauseRefusedError,
    ForwardRefusedError,
)
FAILED = (
    embedded.EmbeddedServerError,
    DatabaseUnavailableError,
    TakenError,
    MissingRightError,
    DemoRefusedError,
    AdoptionError,
    LockedError,
    ArchiveError,
    DamagedError,
    RestoreRefusedError,
    StorageError,
    ArrowSessionBusyError,
    DefaultRowsRemainError,
    ForwardError,
    psycopg.Error,
)


def exit_code(error: Exception) -> int | None:
    """2: wrong usage. 1: failed. None: an error of this program, which is shown with its traceback."""
    if isinstance(error, WRONG_INPUT):
        return 2
    return 1 if isinstance(error, FAILED) else None
