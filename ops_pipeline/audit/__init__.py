"""The audit log: what happened, who did it, and where it is kept."""

from ops_pipeline.audit.event import AuditEvent, EventError
from ops_pipeline.audit.filters import Filters
from ops_pipeline.audit.repository import AsyncAuditLogRepository, AuditLog, AuditLogRepository, Stored
from ops_pipeline.audit.search import SearchError

__all__ = [
    "AsyncAuditLogRepository",
    "AuditEvent",
    "AuditLog",
    "AuditLogRepository",
    "EventError",
    "Filters",
    "SearchError",
    "Stored",
]
