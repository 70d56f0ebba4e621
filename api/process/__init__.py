"""The process: logs, lifecycle, watchdog, drain."""
