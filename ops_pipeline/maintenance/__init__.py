"""Nightly maintenance: plans, guards, runs and records policies over a connection. Without Dagster."""
