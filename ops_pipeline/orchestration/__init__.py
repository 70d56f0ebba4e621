"""The nightly run as Dagster sees it: assets, checks, a job, a schedule. Nothing else imports Dagster."""
