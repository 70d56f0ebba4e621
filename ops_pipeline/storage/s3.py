"""Stores archived files in a bucket of S3, or of a service with the same protocol."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import stamina
from pyarrow import fs

from ops_pipeline.storage.storage import StorageError, StorageUrlError, StoredFile, within

Result = TypeVar("Result")

OPTIONS = ("endpoint_override", "region", "scheme")
CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 10.0
"""A request fails when no byte is transferred for this long."""
PATIENCE_SECONDS = 6.0
"""How long failed requests are retried. It is shorter than rows may be locked (`throttle.batch_size`), so
that a run ends with the storage's own error."""
LONGEST_WAIT_SECONDS = 2.0

PASSING = re.compile(
    r"HTTP status (5\d\d|429)|AWS Error "
    r"(NETWORK_CONNECTION|INTERNAL_FAILURE|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT)"
)
"""Arrow's error texts for errors that may be temporary; it reports them in no other way."""


class S3Bucket:
    """Objects below a prefix. An object is written completely or not at all, and is durable once written.

    S3 cannot rename: an object is copied under its new name, then the old one is deleted. The bucket itself
    is never created or deleted.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str, name: str) -> None:
        self._fs = filesystem
        self._root = root
        self.name = name

    @classmethod
    def from_url(cls, url: str) -> "S3Bucket":
        """The bucket of an s3:// URL. Without a key in it, AWS's default credentials are used (environment,
        profile, instance role). Raises StorageUrlError."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        unknown = sorted(options.keys() - set(OPTIONS))
        if unknown:
            raise StorageUrlError(
                f"OPS_ARCHIVE_URL: {unknown[0]}: not an option of s3://; valid options: {', '.join(OPTIONS)}"
            )
        bucket = parts.netloc.rpartition("@")[2]
        if ":" in bucket:  # the message does not quote it: it may be part of a secret that contains a slash
            raise StorageUrlError(
                "OPS_ARCHIVE_URL: a bucket's name cannot contain a colon. In a secret key, write / as %2F "
                "and @ as %40"
            )
        filesystem = fs.S3FileSystem(
            **_credentials(parts.username, parts.password),
            **options,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=REQUEST_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),  # `_patiently` does it
            allow_delayed_open=True,  # a small file is one request, so no multipart upload can be left over
        )
        root = "/".join([bucket, *filter(None, parts.path.split("/"))])
        return cls(filesystem, root, f"s3://{root}")

    def write(self, path: str, content: memoryview) -> None:
        self._patiently("write", path, partial(self._write, path, content))

    def read(self, path: str) -> bytes:
        return self._patiently("read", path, partial(self._read, path))

    def rename(self, source: str, target: str) -> None:
        self._patiently("rename", source, partial(self._rename, source, target))

    def delete(self, path: str) -> None:
        self._patiently("delete", path, partial(self._delete, path))

    def size(self, path: str) -> int | None:
        info = self._patiently("stat", path, partial(self._info, path))
        return info.size if info.type == fs.FileType.File else None

    def files(self, folder: str) -> Iterator[StoredFile]:
        selector = fs.FileSelector(self._at(folder), allow_not_found=True, recursive=True)
        for info in self._patiently("list", folder, partial(self._fs.get_file_info, selector)):
            if info.type == fs.FileType.File:
                yield StoredFile(info.path.removeprefix(f"{self._root}/"), info.size)

    def _write(self, path: str, content: memoryview) -> None:
        with self._fs.open_output_stream(self._at(path), compression=None) as out:
            out.write(content)

    def _read(self, path: str) -> bytes:
        with self._fs.open_input_file(self._at(path)) as file:
            content: bytes = file.read()
            return content

    def _rename(self, source: str, target: str) -> None:
        if self._info(source).type == fs.FileType.NotFound:
            raise FileNotFoundError(f"{self.name}/{source}")
        self._fs.copy_file(self._at(source), self._at(target))
        self._fs.delete_file(self._at(source))

    def _delete(self, path: str) -> None:
        if self._info(path).type != fs.FileType.NotFound:
            self._fs.delete_file(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root}/{within(path)}" if path else self._root

    def _info(self, path: str) -> fs.FileInfo:
        info: fs.FileInfo = self._fs.get_file_info(self._at(path))
        return info

    def _patiently(self, what: str, path: str, call: Callable[[], Result]) -> Result:
        """The result of the call, which is retried on temporary errors. Every call is idempotent."""
        try:
            for attempt in stamina.retry_context(
                on=_may_pass, attempts=None, timeout=PATIENCE_SECONDS, wait_max=LONGEST_WAIT_SECONDS
            ):
                with attempt:
                    return call()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"cannot {what} {self.name}/{path}: {error}") from error
        raise AssertionError("stamina answers or raises")


def _may_pass(error: Exception) -> bool:
    return isinstance(error, OSError) and PASSING.search(str(error)) is not None


def _credentials(key: str | None, secret: str | None) -> dict[str, Any]:
    if not key:
        return {}
    return {"access_key": unquote(key), "secret_key": unquote(secret or "")}
