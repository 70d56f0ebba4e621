"""An archive that is not the one into which this database's rows were archived."""

import json
from collections.abc import Iterator
from pkgutil import resolve_name

import sql
from ops_pipeline.archive.files import manifest_path
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import database_of
from ops_pipeline.storage.storage import Storage, StorageError, invalid


def _find(examined: Examination) -> Iterator[Finding]:
    newest = examined.migrated_connection().execute(sql.get("diagnosis/newest_archive")).fetchone()
    if newest is None:
        return
    path, origin = newest
    url = examined.settings.archive_url
    if not url or invalid(url) is not None:
        yield Finding(
            "OPS_ARCHIVE_URL",
            f"it is {'invalid' if url else 'not set'}, and rows of this database were archived: the newest "
            f"file is {path}. Set it to the place that has this file",
        )
        return
    # By name: it needs Arrow, which a process that only loads the questions must not load.
    storage: Storage = resolve_name("ops_pipeline.storage.location:storage")(url)
    manifest = manifest_path(path)
    verify = opsctl("archive", "verify", database=database_of(examined.connection))
    try:
        described = json.loads(storage.read(manifest))
    except FileNotFoundError:
        yield Finding(
            storage.name,
            f"the newest archived file of this database, {path}, or its manifest is not in {storage.name}. "
            "OPS_ARCHIVE_URL names another place, or a folder is not mounted. Nothing is recorded as "
            "damaged. To list what is missing",
            (verify,),
        )
    except StorageError as error:
        yield Finding(storage.name, str(error))
    except ValueError:
        yield Finding(storage.name, f"{manifest} is not a manifest", (verify,))
    else:
        if described.get("origin") != origin:
            yield Finding(
                storage.name,
                f"{path} was archived by another database (origin {described.get('origin')}; this one is "
                f"{origin}). Set OPS_ARCHIVE_URL to this database's own archive",
            )


ARCHIVE_ORIGIN = Diagnosis(
    id="archive_origin",
    severity="error",
    question="Is the archive the one into which this database's rows were archived?",
    remedy="Set `OPS_ARCHIVE_URL` to the folder or bucket that has the file, or mount it.",
    find=_find,
)
