"""The health checks of the cache and of another service that the application uses."""

import httpx
import redis.asyncio

from api.health.check import OK, Finding


class Cache:
    """Redis or Valkey, if configured."""

    def __init__(self, url: str | None) -> None:
        self._client = redis.asyncio.Redis.from_url(url, socket_timeout=2, protocol=2) if url else None

    async def __call__(self) -> Finding:
        """Raises redis.RedisError when it does not answer."""
        if self._client is None:
            return Finding("not_configured", "OPS_CACHE_URL is not set")
        await self._client.ping()
        return OK

    async def close(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            await self._client.aclose()


class ExternalApi:
    """Another service that the application needs."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=2.0)

    async def __call__(self) -> Finding:
        """Raises httpx.HTTPError when it does not answer. Any status below 500 is ok."""
        if self._url is None:
            return Finding("not_configured", "OPS_EXTERNAL_API_URL is not set")
        async with self._client.stream("GET", self._url) as answer:  # without its body
            status = answer.status_code
        return OK if status < 500 else Finding("error", f"it answered with HTTP status {status}")

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()
