"""Logs an application's audit events to the API of Ops Pipeline: waits for no network, and loses none."""

from .client import AuditClient
from .event import AuditEvent, EventError
from .spool import SpoolFullError, SpoolInUseError

__all__ = ["AuditClient", "AuditEvent", "EventError", "SpoolFullError", "SpoolInUseError"]
