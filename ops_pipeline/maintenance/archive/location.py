"""Which storage OPS_ARCHIVE_URL means."""

from ops_pipeline.maintenance.archive.bucket import Bucket
from ops_pipeline.maintenance.archive.folder import Folder
from ops_pipeline.maintenance.archive.storage import Storage, StorageUrlError
from ops_pipeline.settings import LOCAL

DEFAULT = LOCAL / "archive"


def storage(url: str | None) -> Storage:
    """The storage behind the URL: a folder's path, file:///path, or
    s3://[key:secret@]bucket[/prefix][?endpoint_override=host:port&scheme=http&region=…].
    None: the folder `.local/archive`.

    Nothing is reached yet. Raises StorageUrlError.
    """
    if url is None:
        return Folder(str(DEFAULT))
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return Folder(rest if separator else url)
    if scheme == "s3":
        return Bucket.of(url)
    raise StorageUrlError(
        f"OPS_ARCHIVE_URL: {scheme}:// is not known; a folder's path or s3://bucket/prefix is needed"
    )
