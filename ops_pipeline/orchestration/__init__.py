"""The Dagster part: assets, checks, jobs, schedules and sensors. No other package imports Dagster."""
