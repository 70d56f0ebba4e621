"""Imports audit events from files of other systems."""
