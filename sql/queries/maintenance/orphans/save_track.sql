-- Records that tracking was installed; the record is complete from its first sweep on.
INSERT INTO ops.orphan_tracks (policy) VALUES (%(policy)s)
ON CONFLICT (policy) DO UPDATE SET fingerprint = NULL, swept_at = NULL, installed_at = clock_timestamp()
