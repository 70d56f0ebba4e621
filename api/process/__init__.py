"""The API's process: connections, logs, lifecycle, watchdog, drain."""
