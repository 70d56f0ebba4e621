"""Restored audit events say of their arrival what they said before, or nothing."""

from pathlib import Path
from uuid import uuid4

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.store import AuditStore
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.storage import location
from tests.integration.archive.removal import remove

PROVENANCE = (
    "SELECT received_at, key_id, peer_address, subject_id, origin FROM audit_logs WHERE event_type = 'a'"
)


def _remove_and_restore(url: str, connection: Connection, folder: Path, between: str = "SELECT") -> None:
    condition = "event_type = 'a'"
    remove(url, connection, folder, table="audit_logs", day_column="created_at", condition=condition)
    connection.execute(between)
    archive = Archive(location.storage(str(folder)), connection)
    assert restore(connection, archive, "audit_logs", first=None, last=None, by="ada").rows == 1


def test_a_restored_event_has_what_the_server_knew_of_it(
    url: str, connection: Connection, folder: Path
) -> None:
    AuditStore(connection, "import").log(AuditEvent(event_type="a", user_id=uuid4()))
    connection.execute("UPDATE audit_logs SET key_id = gen_random_uuid(), peer_address = '192.0.2.7'")
    before = row(connection, PROVENANCE)
    assert None not in before

    _remove_and_restore(url, connection, folder)

    assert row(connection, PROVENANCE) == before


def test_an_event_archived_without_it_has_not_arrived_at_its_restore(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute("ALTER TABLE audit_logs DROP COLUMN received_at, DROP COLUMN origin")
    connection.execute("INSERT INTO audit_logs (event_type) VALUES ('a')")

    _remove_and_restore(
        url,
        connection,
        folder,
        "ALTER TABLE audit_logs ADD COLUMN received_at timestamptz DEFAULT clock_timestamp(), "
        "ADD COLUMN origin text DEFAULT 'sql'",
    )

    assert row(connection, PROVENANCE) == (None, None, None, None, None)
