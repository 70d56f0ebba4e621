-- Records that the fill is complete.
INSERT INTO ops.demo_fills (seed, scale, as_of, sessions, memories, audit_events)
VALUES (%(seed)s, %(scale)s, %(as_of)s, %(sessions)s, %(memories)s, %(audit_events)s)
