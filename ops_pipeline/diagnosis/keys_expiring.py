"""API keys that expire soon, and those that have expired while they were in use."""

from collections.abc import Iterator

import psycopg

from ops_pipeline.access import expiring
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation, NotAskedError
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect


def _look(installation: Installation) -> Iterator[Finding]:
    try:
        with connect(installation.settings.database_url or "", "opsctl doctor") as connection:
            found = expiring.find(connection)
    except DatabaseUnavailableError:
        raise NotAskedError("the database of OPS_DATABASE_URL does not answer") from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise NotAskedError("the database of OPS_DATABASE_URL is not migrated") from None
    except psycopg.errors.InsufficientPrivilege:
        raise NotAskedError("the user of OPS_DATABASE_URL may not read keys; ops_reader may") from None
    for key in found:
        yield Finding(f"key {key.id}", key.in_words, (key.remedy,))


KEYS_EXPIRING = Diagnosis(
    id="keys_expiring",
    severity="warning",
    question="Are all API keys in use valid for another month?",
    remedy="Run `opsctl keys rotate ID`, or for one that has expired the finding's `opsctl keys create …`; "
    "then give the new key to its client ([keys](access.md#keys)). A key that is made for less than 90 days "
    "is reported in the last third of its life. One that has expired is reported for "
    f"{expiring.NOTICE.days} days, if it was used in its last {expiring.LATELY.days} days.",
    look=_look,
)
