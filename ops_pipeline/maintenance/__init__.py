"""What must be done to the database every night, free of Dagster: functions over a connection."""
