"""How much of the server's disk is free, as far as that can be seen from here."""

import shutil
from pathlib import Path

from ops_pipeline.postgres.connection import Connection

LOCAL = {"127.0.0.1", "::1", "localhost", ""}


def free(connection: Connection, folder: str | None) -> int | None:
    """Bytes free where the server has that folder; None when the server is elsewhere or hides its folders."""
    host = connection.info.host
    if folder is None or not (host in LOCAL or host.startswith("/")) or not Path(folder).is_dir():
        return None
    return shutil.disk_usage(folder).free
