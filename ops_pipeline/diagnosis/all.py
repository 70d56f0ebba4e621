"""The list of all diagnoses, in the order in which findings of one severity are shown."""

from collections.abc import Sequence

from ops_pipeline.diagnosis.archive_mount import ARCHIVE_MOUNT
from ops_pipeline.diagnosis.archive_origin import ARCHIVE_ORIGIN
from ops_pipeline.diagnosis.archive_place import ARCHIVE_PLACE
from ops_pipeline.diagnosis.archive_writable import ARCHIVE_WRITABLE
from ops_pipeline.diagnosis.audit_log_missing import AUDIT_LOG_MISSING
from ops_pipeline.diagnosis.cascades import CASCADES, DELETED_BY_CASCADE
from ops_pipeline.diagnosis.clock_skew import CLOCK_SKEW
from ops_pipeline.diagnosis.code_location import CODE_LOCATION
from ops_pipeline.diagnosis.daemon import DAEMON, DAEMON_STARTED, ONE_DAEMON
from ops_pipeline.diagnosis.dagster_database import DAGSTER_DATABASE, DAGSTER_SCHEMA
from ops_pipeline.diagnosis.detach_pending import DETACH_PENDING
from ops_pipeline.diagnosis.diagnosis import Diagnosis
from ops_pipeline.diagnosis.encoding import ENCODING, NARROW_ENCODING
from ops_pipeline.diagnosis.foreign_key_indexes import FOREIGN_KEY_INDEXES
from ops_pipeline.diagnosis.foreign_partitions import FOREIGN_PARTITIONS, FOREIGN_PARTITIONS_LEFT
from ops_pipeline.diagnosis.forward_behind import FORWARD_BEHIND
from ops_pipeline.diagnosis.holds import HOLDS
from ops_pipeline.diagnosis.inheritance import INHERITANCE
from ops_pipeline.diagnosis.invalid_indexes import INVALID_INDEXES
from ops_pipeline.diagnosis.kept_parents import KEPT_PARENTS
from ops_pipeline.diagnosis.keys_expiring import KEYS_EXPIRING
from ops_pipeline.diagnosis.loaded_policies import LOADED_POLICIES
from ops_pipeline.diagnosis.lock_table import LOCK_TABLE
from ops_pipeline.diagnosis.migrated_ahead import MIGRATED_AHEAD
from ops_pipeline.diagnosis.names_taken import NAMES_TAKEN
from ops_pipeline.diagnosis.not_enforced import NOT_ENFORCED
from ops_pipeline.diagnosis.not_migrated import NOT_MIGRATED
from ops_pipeline.diagnosis.old_transactions import OLD_TRANSACTIONS, PREPARED_TRANSACTIONS
from ops_pipeline.diagnosis.open_schemas import OPEN_SCHEMAS
from ops_pipeline.diagnosis.orphan_indexes import ORPHAN_INDEXES
from ops_pipeline.diagnosis.partitions_premade import PARTITIONS_PREMADE
from ops_pipeline.diagnosis.pending_approvals import PENDING_APPROVALS
from ops_pipeline.diagnosis.policies_file import POLICIES_FILE
from ops_pipeline.diagnosis.policy_mismatch import POLICY_MISMATCH
from ops_pipeline.diagnosis.pooler import POOLER
from ops_pipeline.diagnosis.replication_slots import REPLICATION_SLOTS
from ops_pipeline.diagnosis.rights import RIGHTS, VACUUM_RIGHTS
from ops_pipeline.diagnosis.row_security import RAISING_TRIGGERS, ROW_SECURITY
from ops_pipeline.diagnosis.rules import RULES
from ops_pipeline.diagnosis.schedules import SCHEDULES
from ops_pipeline.diagnosis.sensors import SENSORS
from ops_pipeline.diagnosis.session_settings import SESSION_SETTINGS
from ops_pipeline.diagnosis.standby import STANDBY
from ops_pipeline.diagnosis.track_counts import TRACK_COUNTS
from ops_pipeline.diagnosis.triggers import DELETE_TRIGGERS, KEEPING_TRIGGERS
from ops_pipeline.diagnosis.unreachable import UNREACHABLE
from ops_pipeline.diagnosis.voided_keys import VOIDED_KEYS
from ops_pipeline.diagnosis.webhook import WEBHOOK
from ops_pipeline.diagnosis.whole_partitions import ENDLESS_ROWS, WHOLE_PARTITIONS

DIAGNOSES: Sequence[Diagnosis] = (
    POLICIES_FILE,
    CODE_LOCATION,
    DAGSTER_DATABASE,
    DAGSTER_SCHEMA,
    DAEMON_STARTED,
    DAEMON,
    ONE_DAEMON,
    SCHEDULES,
    SENSORS,
    ARCHIVE_WRITABLE,
    ARCHIVE_MOUNT,
    WEBHOOK,
    KEYS_EXPIRING,
    UNREACHABLE,
    POOLER,
    ENCODING,
    STANDBY,
    NAMES_TAKEN,
    NOT_MIGRATED,
    MIGRATED_AHEAD,
    LOADED_POLICIES,
    POLICY_MISMATCH,
    RIGHTS,
    ROW_SECURITY,
    ARCHIVE_PLACE,
    ARCHIVE_ORIGIN,
    HOLDS,
    INHERITANCE,
    CASCADES,
    VOIDED_KEYS,
    KEPT_PARENTS,
    RULES,
    FOREIGN_KEY_INDEXES,
    FOREIGN_PARTITIONS,
    AUDIT_LOG_MISSING,
    RAISING_TRIGGERS,
    KEEPING_TRIGGERS,
    VACUUM_RIGHTS,
    ORPHAN_INDEXES,
    OPEN_SCHEMAS,
    TRACK_COUNTS,
    CLOCK_SKEW,
    PENDING_APPROVALS,
    FORWARD_BEHIND,
    PARTITIONS_PREMADE,
    DETACH_PENDING,
    INVALID_INDEXES,
    OLD_TRANSACTIONS,
    PREPARED_TRANSACTIONS,
    REPLICATION_SLOTS,
    LOCK_TABLE,
    DELETED_BY_CASCADE,
    DELETE_TRIGGERS,
    WHOLE_PARTITIONS,
    ENDLESS_ROWS,
    FOREIGN_PARTITIONS_LEFT,
    NOT_ENFORCED,
    SESSION_SETTINGS,
    NARROW_ENCODING,
)
