"""Finds the free space on the server's disk, when the server runs on this machine."""

import shutil
from pathlib import Path

from ops_pipeline.postgres.connection import Connection

LOCAL = {"127.0.0.1", "::1", "localhost", ""}


def free(connection: Connection, folder: str | None) -> int | None:
    """Free bytes on the disk of that folder; None when the server is on another machine or the folder is
    hidden."""
    host = connection.info.host
    if folder is None or not (host in LOCAL or host.startswith("/")) or not Path(folder).is_dir():
        return None
    return shutil.disk_usage(folder).free
