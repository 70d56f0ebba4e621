"""A bucket of S3, or of anything that speaks its protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pyarrow import fs

from ops_pipeline.storage.storage import StorageError, StorageUrlError, StoredFile

OPTIONS = ("endpoint_override", "region", "scheme")
CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 60.0
ATTEMPTS = 3


class S3Bucket:
    """Objects below a prefix. An object is whole or not there; it lasts once it has been written.

    There is no renaming: an object is copied under its new name, then the old one is deleted. The
    bucket itself is never made or removed.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str, name: str) -> None:
        self._fs = filesystem
        self._root = root
        self.name = name

    @classmethod
    def from_url(cls, url: str) -> "S3Bucket":
        """The bucket of an s3:// URL. Without a key in it, AWS's usual places are looked through
        (environment, profile, instance role). Raises StorageUrlError."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        unknown = sorted(options.keys() - set(OPTIONS))
        if unknown:
            raise StorageUrlError(
                f"OPS_ARCHIVE_URL: {unknown[0]}: not an option of s3://; there is {', '.join(OPTIONS)}"
            )
        bucket = parts.netloc.rpartition("@")[2]
        if not bucket:
            raise StorageUrlError("OPS_ARCHIVE_URL: s3:// needs a bucket: s3://bucket/prefix")
        filesystem = fs.S3FileSystem(
            **_credentials(parts.username, parts.password),
            **options,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=REQUEST_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        )
        root = "/".join([bucket, *filter(None, parts.path.split("/"))])
        return cls(filesystem, root, f"s3://{root}")

    def write(self, path: str, content: memoryview) -> None:
        with (
            self._storage_errors("write", path),
            self._fs.open_output_stream(self._at(path), compression=None) as out,
        ):
            out.write(content)

    def read(self, path: str) -> bytes:
        with self._storage_errors("read", path), self._fs.open_input_file(self._at(path)) as file:
            content: bytes = file.read()
            return content

    def rename(self, source: str, target: str) -> None:
        with self._storage_errors("rename", source):
            if self._info(source).type == fs.FileType.NotFound:
                raise FileNotFoundError(f"{self.name}/{source}")
            self._fs.copy_file(self._at(source), self._at(target))
            self._fs.delete_file(self._at(source))

    def delete(self, path: str) -> None:
        with self._storage_errors("delete", path):
            if self._info(path).type != fs.FileType.NotFound:
                self._fs.delete_file(self._at(path))

    def size(self, path: str) -> int | None:
        with self._storage_errors("look at", path):
            info = self._info(path)
            return info.size if info.type == fs.FileType.File else None

    def files(self, folder: str) -> Iterator[StoredFile]:
        with self._storage_errors("list", folder):
            selector = fs.FileSelector(self._at(folder), allow_not_found=True, recursive=True)
            for info in self._fs.get_file_info(selector):
                if info.type == fs.FileType.File:
                    yield StoredFile(info.path.removeprefix(f"{self._root}/"), info.size)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _info(self, path: str) -> fs.FileInfo:
        info: fs.FileInfo = self._fs.get_file_info(self._at(path))
        return info

    @contextmanager
    def _storage_errors(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"cannot {what} {self.name}/{path}: {error}") from error


def _credentials(key: str | None, secret: str | None) -> dict[str, Any]:
    if not key:
        return {}
    return {"access_key": unquote(key), "secret_key": unquote(secret or "")}
