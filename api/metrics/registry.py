"""The metrics of this process and of the application's tables."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

import sql
from api.db.pool import Pool
from ops_pipeline.audit.event import AuditEvent

REQUEST_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000)
QUERY_MS = (1, 2, 5, 10, 25, 50, 100, 500, 1000)
LLM_MS = (100, 250, 500, 1000, 2000, 5000, 10000)
REFRESH_SECONDS = 15.0
REFRESH_TIMEOUT = 2.0
COUNT_UP_TO = 100_000
"""A table with more rows is not counted; the metric is the estimate of the statistics."""
MOST_MODELS = 50

log = structlog.get_logger()


class _Duration:
    """A histogram of a duration in seconds, by Prometheus' conventions, which is also shown in milliseconds,
    for the names of the requirements."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        help_text: str,
        labels: list[str],
        buckets_ms: tuple[int, ...],
    ) -> None:
        self._seconds = Histogram(
            f"{name}_seconds",
            f"{help_text} in seconds",
            labels,
            buckets=[bucket / 1000 for bucket in buckets_ms],
            registry=registry,
        )
        registry.register(_InMilliseconds(self._seconds, f"{name}_ms", f"{help_text} in ms", buckets_ms))

        # Looking up a labeled child costs more than observing; their number is bounded by routes and
        # statuses.
        self._labeled: dict[tuple[str, ...], Histogram] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        child = self._labeled.get(labels)
        if child is None:
            child = self._labeled[labels] = self._seconds.labels(*labels)
        child.observe(seconds)


class _InMilliseconds(Collector):
    """A histogram of seconds as one of milliseconds, made at each scrape: observing twice costs each request
    more than a scrape."""

    def __init__(self, seconds: Histogram, name: str, help_text: str, buckets_ms: Sequence[int]) -> None:
        self._seconds = seconds
        self._name = name
        self._help = help_text
        self._bounds = {str(bound / 1000): str(float(bound)) for bound in buckets_ms} | {"+Inf": "+Inf"}

    def collect(self) -> Iterator[Metric]:
        (seconds,) = self._seconds.collect()
        shown = Metric(self._name, self._help, seconds.type)
        for sample in seconds.samples:
            suffix = sample.name.removeprefix(seconds.name)
            labels = dict(sample.labels)
            if (bound := labels.get("le")) is not None:
                labels["le"] = self._bounds[bound]
            value = sample.value * 1000 if suffix == "_sum" else sample.value
            shown.add_sample(self._name + suffix, labels, value)
        yield shown


class Metrics:
    """The metrics of this process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = _Duration(
            self.registry, "http_request_duration", "Duration of HTTP requests",
            ["method", "route", "status_code"], REQUEST_MS,
        )  # fmt: skip
        self._queries = _Duration(
            self.registry, "database_query_duration", "Duration of database queries", ["query_type"], QUERY_MS
        )
        self._llm = _Duration(
            self.registry, "llm_request_duration", "Duration of LLM API requests", ["model", "status"], LLM_MS
        )
        self._conversations = Gauge(
            "conversations_total",
            f"Total number of conversations, an estimate above {COUNT_UP_TO}, NaN without such a table",
            registry=self.registry,
        )
        self._sessions = Gauge(
            "active_sessions",
            "Number of sessions that have not expired, NaN without a column public.sessions.expires_at",
            registry=self.registry,
        )
        self._errors = Counter(
            "errors_total", "Total number of errors", ["error_type", "status_code"], registry=self.registry
        )
        self._keys_expiring = Gauge(
            "ops_keys_expiring",
            "Number of API keys that expire soon, NaN until they were looked up",
            registry=self.registry,
        )
        self._next_expiry = Gauge(
            "ops_keys_next_expiry_timestamp_seconds",
            "When the next API key expires, as Unix time, NaN without one",
            registry=self.registry,
        )
        self._targets_behind = Gauge(
            "ops_forward_behind_seconds",
            "For how long events may wait to be forwarded to a target",
            ["target"],
            registry=self.registry,
        )
        self.record_keys(float("nan"), None)
        self._models: set[str] = set()
        self._refreshed = float("-inf")
        self._refreshing = asyncio.Lock()

    def record_request(self, method: str, route: str, status: int, seconds: float, error: str | None) -> None:
        """Records a request. `route` is its path template; `error` is the problem's name, if it was one."""
        self._requests.observe(seconds, method, route, str(status))
        if error is not None:
            self._errors.labels(error, str(status)).inc()

    def record_query(self, query_type: str, seconds: float) -> None:
        """Records a statement, successful or failed."""
        self._queries.observe(seconds, query_type)

    def record_keys(self, expiring: float, next_expiry: datetime | None) -> None:
        """Records how many keys expire soon, and when the next one does."""
        self._keys_expiring.set(expiring)
        self._next_expiry.set(float("nan") if next_expiry is None else next_expiry.timestamp())

    def record_targets(self, behind: Mapping[str, float]) -> None:
        """Records for how many seconds each target of `opsctl forward` is behind; others are forgotten."""
        self._targets_behind.clear()
        for target, seconds in behind.items():
            self._targets_behind.labels(target).set(seconds)

    def record_llm_request(self, event: AuditEvent) -> None:
        """Records an LLM call, which applications report as an audit event of type `llm_request` with
        `durationMs`, `status` and `details.model`. After 50 models the label is `other`."""
        if event.event_type != "llm_request" or event.duration_ms is None:
            return
        model = str((event.details or {}).get("model", "unknown"))[:64]
        if model not in self._models:
            if len(self._models) >= MOST_MODELS:
                model = "other"
            self._models.add(model)
        self._llm.observe(event.duration_ms / 1000, model, event.status or "unknown")

    async def refresh(self, pool: Pool) -> None:
        """Counts the application's rows again if the last count is older than 15 seconds.

        When the database does not answer within 2 seconds the metrics are NaN; the scrape does not fail.
        """
        async with self._refreshing:
            if time.monotonic() - self._refreshed < REFRESH_SECONDS:
                return
            try:
                async with asyncio.timeout(REFRESH_TIMEOUT):
                    conversations, sessions = await _count(pool)
            except (psycopg.Error, PoolTimeout, TimeoutError) as error:
                log.warning("application metrics unknown", error=type(error).__name__)
                conversations = sessions = float("nan")
            self._conversations.set(conversations)
            self._sessions.set(sessions)
            self._refreshed = time.monotonic()


async def _count(pool: Pool) -> tuple[float, float]:
    ((estimate, sessions_expire),) = await pool.rows("select", sql.get("api/metrics/tables"))
    conversations = sessions = float("nan")
    if estimate is not None and estimate > COUNT_UP_TO:
        conversations = estimate
    elif estimate is not None:
        ((conversations,),) = await pool.rows("select", sql.get("api/metrics/conversations"))
    if sessions_expire:
        ((sessions,),) = await pool.rows("select", sql.get("api/metrics/active_sessions"))
    return conversations, sessions
