"""The checks of the storage that removed rows are archived to."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import sql
from api.health.check import OK, Finding
from api.health.connection import HealthConnection
from api.process.thread import in_thread

LEAST_FREE_SHARE = 0.1
UNSET = Finding("not_configured", "OPS_ARCHIVE_URL is not set; policies with `archive: true` are refused")
NO_DISK = Finding("not_configured", "the archive is in a bucket")


class ArchiveChecks:
    """Where archives go: a folder, which is tried, or a bucket.

    What writes to buckets takes this process's memory twice over and a third of a second to load, so a
    bucket is not tried from here: what the runs have recorded of it in `connection`'s database is reported.
    """

    def __init__(self, url: str | None, connection: HealthConnection) -> None:
        in_bucket = url is not None and url.startswith("s3://")
        self._folder = None if url is None or in_bucket else Path(url.removeprefix("file://"))
        self._unset = url is None
        self._connection = connection
        self._writing, self._measuring = PatientDisk(), PatientDisk()

    async def writable(self) -> Finding:
        """Whether a file can be put there, kept, and removed again; of a bucket, whether that worked."""
        if self._unset:
            return UNSET
        if (folder := self._folder) is None:
            return await self._recorded()
        return await self._writing.run(lambda: _put_file(folder))

    async def disk(self) -> Finding:
        """Whether a tenth of its disk is free."""
        if self._unset:
            return UNSET
        if (folder := self._folder) is None:
            return NO_DISK
        return await self._measuring.run(lambda: _measure(folder))

    async def _recorded(self) -> Finding:
        ((stored, waiting),) = await self._connection.rows(sql.get("api/health/archived"))
        if waiting:
            return Finding("error", f"{waiting} archives wait for over an hour to be stored in the bucket")
        newest = f"{stored:%Y-%m-%d %H:%M} UTC" if stored else "never"
        return Finding("ok", f"only the runs try the bucket; an archive was last stored there: {newest}")


def _put_file(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding("error", f"{folder} is not a folder")
    probe = folder / f".probe-{uuid4().hex}"
    try:
        with probe.open("wb") as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding("error", f"{folder} takes no file: {error.strerror}")
    finally:
        probe.unlink(missing_ok=True)
    return OK


def _measure(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    share = usage.free / usage.total
    if share < LEAST_FREE_SHARE:
        return Finding("error", f"{share:.0%} of the disk is free ({usage.free / 2**30:,.1f} GiB)")
    return OK


class PatientDisk:
    """Looks at what a disk may never answer, such as one of a network: one look hangs at most."""

    def __init__(self) -> None:
        self._look: asyncio.Future[Finding] | None = None

    async def run(self, look: Callable[[], Finding]) -> Finding:
        """What the look finds. Raises what it raises."""
        if self._look is not None and not self._look.done():
            return Finding("error", "the last look still waits for the disk")
        self._look = in_thread(look, "health disk")
        # Given up at the check's deadline, the look itself goes on, and no other begins meanwhile.
        return await asyncio.shield(self._look)
