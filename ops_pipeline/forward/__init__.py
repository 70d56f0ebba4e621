"""Forwards audit events to another system, such as a SIEM: at least once, resumable and signed."""
