"""An archive on the root disk, which may be the container's own, or in memory."""

from collections.abc import Iterator
from pathlib import Path

from ops_pipeline.diagnosis.archive_writable import folder_of, valid_url
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation, NotAskedError
from ops_pipeline.finding import Finding

MOUNTS = Path("/proc/self/mountinfo")
IN_MEMORY = {"tmpfs", "ramfs"}


def _look(installation: Installation) -> Iterator[Finding]:
    folder = folder_of(valid_url(installation))
    if folder is None:
        raise NotAskedError("the archive is in a bucket")
    if not folder.is_dir():
        raise NotAskedError("the folder does not exist yet")
    if not MOUNTS.exists():
        raise NotAskedError("this system does not list its mounts")
    point, filesystem = mount_of(folder.resolve(), MOUNTS.read_text())
    if filesystem in IN_MEMORY:
        yield Finding(
            str(folder),
            f"{folder} is in memory ({filesystem} at {point}): a restart loses every archived row. Set "
            "OPS_ARCHIVE_URL to a folder on a disk that is kept, or to a bucket",
        )
    elif point == Path("/"):
        yield Finding(
            str(folder),
            f"{folder} is on the root disk ({filesystem}), and not on a mount of its own: in a container, "
            "its files are lost with the container; on a host, it fills the system's disk. If the files are "
            "kept and there is room, no action is required. Otherwise mount a volume there",
        )


def mount_of(folder: Path, mounts: str) -> tuple[Path, str]:
    """The mount point that the folder is below, and its file system's type, of the text of
    /proc/self/mountinfo (proc(5))."""
    found = (Path("/"), "unknown")
    for line in mounts.splitlines():
        fields, _, after = line.partition(" - ")
        # A space in a mount point is written as \040.
        point = Path(fields.split()[4].encode().decode("unicode_escape"))
        if folder.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = (point, after.split()[0])  # a later mount hides an earlier one
    return found


ARCHIVE_MOUNT = Diagnosis(
    id="archive_mount",
    severity="warning",
    question="Is the archive on a disk of its own that outlives this container or host?",
    remedy="Mount a volume at the folder of `OPS_ARCHIVE_URL`, or set it to a bucket "
    "([archive](../archive.md)).",
    look=_look,
)
