"""GET /api/admin/audit-logs/export: streams all matching events as NDJSON or CSV."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import uuid4

from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

import sql
from api import openapi
from api.audit.query import AuditQuery, InjectedQuery
from api.audit.streaming import recorded_stream
from api.auth.caller import Caller, caller_of
from api.db.pool import Row
from api.problems import AnyRequest
from api.services import Injected, Services
from ops_pipeline.audit.cursor import Cursors
from ops_pipeline.audit.filters import Question, question
from ops_pipeline.audit.store import AuditLog

PLACED = ("line", "created_at", "id")
ROWS_AT_ONCE = 2_000
FIRST_ROWS = 100
BYTES_AT_ONCE = 8 * 1024 * 1024
"""How much is read at once: the number of rows doubles while they are small, otherwise it is halved."""
LIMITS = {"statement_timeout": "300s", "idle_timeout": "60s"}
"""How long the server may search for the next rows, and the client may take to read them. The transaction of
an export that the client does not read would keep VACUUM from removing rows deleted since it began."""

Format = Literal["ndjson", "csv"]
# The framework adds the charset of a text.
MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; header=present"}
HEADER = ",".join(AuditLog.__struct_fields__)


@get(
    "/export",
    operation_id="exportAuditEvents",
    summary="Export all matching events as NDJSON or CSV",
    description="Streamed, newest first, from one snapshot. An export that fails closes the connection "
    "before the end of its chunked body. To be able to resume, export with `cursors=true` and pass the "
    "last line's `_cursor` as `after`.",
    opt={"scope": "audit:export"},
    operation_class=openapi.also_as("text/csv"),
    responses={
        200: openapi.success(str, "One line per event", media_type="application/x-ndjson"),
        **openapi.behind_key(),
    },
)
async def export(
    request: AnyRequest,
    services: Injected,
    audit_query: InjectedQuery,
    format: Annotated[Format, QueryParameter(description="The file's format")] = "ndjson",  # noqa: A002 - the name of the query parameter
    after: Annotated[
        str | None, QueryParameter(description="The `_cursor` of the last line received")
    ] = None,
    cursors: Annotated[
        bool, QueryParameter(description="Add a `_cursor` to each line, to resume from")
    ] = False,
) -> Stream:
    """The events as a file. It begins once the first rows were read, so earlier failures are problems."""
    key = caller_of(request.scope)
    services.limits.check_stream(key.id, "exports")
    going_on = await services.cursors.going_on(audit_query, "after", after)
    columns = PLACED if cursors else PLACED[:1]
    selection = question("export", going_on.filters, line=format, columns=columns)
    exported = _Exported(going_on, format, await services.cursors.get() if cursors else None)
    given = {**audit_query.given, "format": format, "after": after, "export": uuid4().hex}
    parts = _parts(services, key, selection, exported)
    body = await recorded_stream(services.read_trail, request, "audit.export", given, parts, exported)
    name = f"audit-logs-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{format}"
    return Stream(
        body,
        media_type=MEDIA_TYPES[format],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@dataclass(slots=True)
class _Exported:
    """Encodes rows and counts them."""

    audit_query: AuditQuery
    kind: Format
    cursors: Cursors | None
    rows: int = 0

    def header(self) -> bytes:
        if self.kind == "ndjson":
            return b""
        return f"{HEADER}{',_cursor' if self.cursors else ''}\r\n".encode()

    def part(self, rows: list[Row]) -> bytes:
        self.rows += len(rows)
        end = "\n" if self.kind == "ndjson" else "\r\n"
        cursors = self.cursors
        lines = [row[0] if cursors is None else self._with_cursor(cursors, row) for row in rows]
        return "".join([line + end for line in lines]).encode()

    def _with_cursor(self, cursors: Cursors, row: Row) -> str:
        line, created_at, event_id = row
        cursor = cursors.write(self.audit_query.position(created_at, event_id), self.audit_query.question)
        return f'{line[:-1]},"_cursor":"{cursor}"}}' if self.kind == "ndjson" else f"{line},{cursor}"


async def _parts(
    services: Services, key: Caller, selection: Question, exported: _Exported
) -> AsyncGenerator[bytes, None]:
    async with (
        services.limits.streaming(key.id, "exports"),
        services.export_pool.connection() as connection,
        connection.transaction(),
    ):
        await connection.execute(sql.get("postgres/snapshot"))
        await connection.execute(sql.get("api/audit/limit_transaction"), LIMITS)
        async with connection.cursor(name="export") as cursor:
            await cursor.execute(selection.statement, selection.values)
            at_once = FIRST_ROWS
            rows = await cursor.fetchmany(at_once)
            part = exported.part(rows)
            yield exported.header() + part
            while len(rows) == at_once:
                small = len(part) < BYTES_AT_ONCE // 2
                at_once = min(2 * at_once, ROWS_AT_ONCE) if small else max(at_once // 2, 1)
                rows = await cursor.fetchmany(at_once)
                part = exported.part(rows)
                yield part
