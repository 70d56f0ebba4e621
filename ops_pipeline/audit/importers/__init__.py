"""Audit events read from files that other systems deliver."""
