"""Chooses the storage for OPS_ARCHIVE_URL: a folder or S3."""

from ops_pipeline.storage.filesystem import Folder
from ops_pipeline.storage.s3 import S3Bucket
from ops_pipeline.storage.storage import Storage, StorageUrlError, invalid


def storage(url: str | None) -> Storage:
    """The storage for the URL: an absolute path, file:///path, or
    s3://[key:secret@]bucket[/prefix][?endpoint_override=host:port&scheme=http&region=…].

    Does not connect yet. Raises StorageUrlError, also for None.
    """
    problem = invalid(url)
    if url is None or problem is not None:
        raise StorageUrlError(problem)
    return S3Bucket.from_url(url) if url.startswith("s3://") else Folder(url.removeprefix("file://"))
