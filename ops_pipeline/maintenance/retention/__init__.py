"""Rows that have grown too old."""

from ops_pipeline.maintenance.retention.expire import remove_expired
from ops_pipeline.maintenance.retention.expired import cutoff, due, left

__all__ = ["cutoff", "due", "left", "remove_expired"]
