"""The checks of what stands beside the database: cache, another service, the archive's storage."""

import os
import shutil
from pathlib import Path

import httpx
import redis.asyncio

from api.health.check import OK, Finding

LEAST_FREE_SHARE = 0.1


class Cache:
    """Redis or Valkey, where there is one."""

    def __init__(self, url: str | None) -> None:
        self._client = redis.asyncio.Redis.from_url(url, socket_timeout=2, protocol=2) if url else None

    async def __call__(self) -> Finding:
        """Raises redis.RedisError when it does not answer."""
        if self._client is None:
            return Finding("not_configured", "OPS_CACHE_URL is not set")
        await self._client.ping()
        return OK

    async def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            await self._client.aclose()


class ExternalApi:
    """Another service that the application needs."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=2.0)

    async def __call__(self) -> Finding:
        """Raises httpx.HTTPError when it does not answer. Below 500 somebody is at home."""
        if self._url is None:
            return Finding("not_configured", "OPS_EXTERNAL_API_URL is not set")
        status = (await self._client.get(self._url)).status_code
        return OK if status < 500 else Finding("error", f"it answers {status}")

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()


class Archive:
    """The folder that removed rows are archived to."""

    def __init__(self, url: str | None) -> None:
        self._folder = Path(url) if url and "://" not in url else None

    async def writable(self) -> Finding:
        """Whether a file can be put there."""
        if self._folder is None:
            return Finding("not_configured", "OPS_ARCHIVE_URL names no folder")
        if not self._folder.is_dir():
            return Finding("error", f"{self._folder} is no folder")
        if not os.access(self._folder, os.W_OK | os.X_OK):
            return Finding("error", f"{self._folder} may not be written to by this user")
        return OK

    async def disk(self) -> Finding:
        """Whether a tenth of its disk is free."""
        if self._folder is None:
            return Finding("not_configured", "OPS_ARCHIVE_URL names no folder")
        usage = shutil.disk_usage(self._folder)
        share = usage.free / usage.total
        if share < LEAST_FREE_SHARE:
            return Finding("error", f"{share:.0%} of the disk is free ({usage.free / 2**30:,.1f} GiB)")
        return OK
