"""The checks of the storage that removed rows are archived to."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import sql
from api.health.check import OK, Finding
from api.health.connection import Kept
from ops_pipeline.settings import LOCAL

LEAST_FREE_SHARE = 0.1
DEFAULT = LOCAL / "archive"
NOT_THERE = Finding(
    "not_configured", f"OPS_ARCHIVE_URL is not set, and nothing was archived to {DEFAULT} yet"
)
NO_DISK = Finding("not_configured", "the archive is in a bucket")


class Archive:
    """Where archives go: a folder, which is tried, or a bucket.

    What writes to buckets takes this process's memory twice over and a third of a second to load, so a
    bucket is not tried from here: what the runs have noted of it in `connection`'s database is told.
    """

    def __init__(self, url: str | None, connection: Kept) -> None:
        in_bucket = url is not None and url.startswith("s3://")
        self._folder = None if in_bucket else Path((url or str(DEFAULT)).removeprefix("file://"))
        self._may_be_missing = url is None
        self._connection = connection
        self._writing, self._measuring = Aside(), Aside()

    async def writable(self) -> Finding:
        """Whether a file can be put there, kept, and removed again; of a bucket, whether that worked."""
        if (folder := self._folder) is None:
            return await self._noted()
        if self._may_be_missing and not folder.exists():
            return NOT_THERE
        return await self._writing.run(lambda: _put_file(folder))

    async def disk(self) -> Finding:
        """Whether a tenth of its disk is free."""
        if (folder := self._folder) is None:
            return NO_DISK
        if self._may_be_missing and not folder.exists():
            return NOT_THERE
        return await self._measuring.run(lambda: _measure(folder))

    async def _noted(self) -> Finding:
        ((stored, waiting),) = await self._connection.rows(sql.get("health/archived"))
        if waiting:
            return Finding("error", f"{waiting} archives wait for over an hour to be stored in the bucket")
        newest = f"{stored:%Y-%m-%d %H:%M} UTC" if stored else "never"
        return Finding("ok", f"only the runs try the bucket; an archive was last stored there: {newest}")


def _put_file(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding("error", f"{folder} is no folder")
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


class Aside:
    """Runs what a disk may never answer, such as one of a network, where it holds nothing up.

    Not in the loop's own threads: they are few, others need them, and the process waits for them on its
    way out. Here one thread hangs at most, and nobody waits for it.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    async def run(self, look: Callable[[], Finding]) -> Finding:
        """What the look finds. Raises what it raises."""
        if self._thread is not None and self._thread.is_alive():
            return Finding("error", "the last look still waits for the disk")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Finding] = loop.create_future()

        def answer(finding: Finding | None, error: Exception | None) -> None:
            if found.done():
                return  # it came after the deadline
            if error is not None:
                found.set_exception(error)
            elif finding is not None:
                found.set_result(finding)

        def work() -> None:
            outcome: tuple[Finding | None, Exception | None]
            try:
                outcome = look(), None
            except Exception as error:  # whatever it is, the check says it
                outcome = None, error
            if not loop.is_closed():
                loop.call_soon_threadsafe(answer, *outcome)

        self._thread = threading.Thread(target=work, name="health disk", daemon=True)
        self._thread.start()
        return await found
