"""The HTTP API: audit log, health probes, maintenance runs and Prometheus metrics."""
