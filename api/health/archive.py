"""The health checks of the archive's storage."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import sql
from api.health.check import OK, Finding
from api.health.connection import HealthConnection
from api.process.thread import in_thread
from ops_pipeline.counted import counted
from ops_pipeline.diagnosis.archive_writable import probe
from ops_pipeline.storage.filesystem import Folder
from ops_pipeline.storage.storage import StorageError

LEAST_FREE_SHARE = 0.1
UNSET = Finding("not_configured", "OPS_ARCHIVE_URL is not set; policies with `archive: true` are refused")
NO_DISK = Finding("not_configured", "the archive is in a bucket")


class ArchiveChecks:
    """Checks the archive: a folder is tested, a bucket is not.

    The library that writes to buckets would double this process's memory and takes a third of a second to
    load. So for a bucket the checks report what the runs recorded in `connection`'s database.
    """

    def __init__(self, url: str | None, connection: HealthConnection) -> None:
        in_bucket = url is not None and url.startswith("s3://")
        self._folder = None if url is None or in_bucket else Path(url.removeprefix("file://"))
        self._unset = url is None
        self._connection = connection
        self._writing, self._measuring = PatientDisk(), PatientDisk()

    async def writable(self) -> Finding:
        """Whether a file can be written, synced, read and deleted; for a bucket, whether the runs could store
        files."""
        if self._unset:
            return UNSET
        if (folder := self._folder) is None:
            return await self._recorded()
        return await self._writing.run(lambda: _put_file(folder))

    async def disk(self) -> Finding:
        """Whether at least a tenth of the archive's disk is free."""
        if self._unset:
            return UNSET
        if (folder := self._folder) is None:
            return NO_DISK
        return await self._measuring.run(lambda: _measure(folder))

    async def _recorded(self) -> Finding:
        ((stored, waiting),) = await self._connection.rows(sql.get("api/health/archived"))
        if waiting:
            files = counted(waiting, "archived file has", "archived files have")
            return Finding("error", f"{files} waited over an hour to be stored in the bucket")
        newest = f"{stored:%Y-%m-%d %H:%M} UTC" if stored else "never"
        return Finding("ok", f"only runs write to the bucket; last archived file stored: {newest}")


def _put_file(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding("error", f"{folder} is not a folder")
    try:
        probe(Folder(str(folder)))
    except StorageError as error:
        return Finding("error", str(error))
    return OK


def _measure(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    share = usage.free / usage.total
    if share < LEAST_FREE_SHARE:
        return Finding("error", f"{share:.0%} of the disk is free ({usage.free / 2**30:,.1f} GiB)")
    return OK


class PatientDisk:
    """Runs a check on a disk that may hang, such as a network disk: at most one check hangs at a time."""

    def __init__(self) -> None:
        self._look: asyncio.Future[Finding] | None = None

    async def run(self, look: Callable[[], Finding]) -> Finding:
        """The finding of `look`. Raises the errors of `look`."""
        if self._look is not None and not self._look.done():
            return Finding("error", "the previous check is still waiting for the disk")
        self._look = in_thread(look, "health disk")
        # At the check's deadline the caller stops waiting; the look itself continues, and no other one
        # starts.
        return await asyncio.shield(self._look)
