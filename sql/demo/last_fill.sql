-- The complete fill of this database, if there was one.
SELECT sessions, memories, audit_events, seed, scale, as_of FROM ops.demo_fills
ORDER BY filled_at DESC LIMIT 1
