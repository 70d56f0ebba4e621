"""Chooses the storage for OPS_ARCHIVE_URL: a folder or S3."""

from ops_pipeline.storage.filesystem import Folder
from ops_pipeline.storage.s3 import S3Bucket
from ops_pipeline.storage.storage import UNSET, Storage, StorageUrlError, unknown


def storage(url: str | None) -> Storage:
    """The storage for the URL: a folder's path, file:///path, or
    s3://[key:secret@]bucket[/prefix][?endpoint_override=host:port&scheme=http&region=…].

    Does not connect yet. Raises StorageUrlError, also for None.
    """
    if url is None:
        raise StorageUrlError(UNSET)
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return Folder(rest if separator else url)
    if scheme == "s3":
        return S3Bucket.from_url(url)
    raise StorageUrlError(unknown(scheme))
