-- The waits of the throttle are no pauses: those are ops.maintenance_pauses.
ALTER TABLE ops.maintenance_runs RENAME COLUMN pauses TO throttled;

COMMENT ON COLUMN ops.maintenance_runs.throttled IS
  'How often and how long the run was throttled: {"replica_lag": {"count": 3, "seconds": 1.2}, ...}';
COMMENT ON COLUMN ops.maintenance_runs.working_seconds IS 'Seconds in batches, without the time the run was throttled';
