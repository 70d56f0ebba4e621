"""Dagster's own web application behind the sign-in middleware: who may ask, from where, and who it is."""
