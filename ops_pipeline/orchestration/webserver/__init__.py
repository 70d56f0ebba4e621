"""Dagster's own web application behind a guard: who may ask, from where, and who it is."""
