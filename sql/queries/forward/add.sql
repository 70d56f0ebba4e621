-- Adds a target at a snapshot, or lets one whose position cannot be used begin there again.
INSERT INTO ops.forward_targets AS target
  (name, host, address_sha256, server, seen, seen_at, visible, visible_at, transaction, place, nth, since)
VALUES
  (%(name)s, %(host)s, %(address_sha256)s, %(server)s, %(seen)s, %(seen_at)s, %(seen)s, %(seen_at)s,
   pg_snapshot_xmin(%(seen)s::pg_snapshot), 0, 0, %(since)s)
ON CONFLICT (name) DO UPDATE
SET server = excluded.server, seen = excluded.seen, seen_at = excluded.seen_at, visible = excluded.visible,
    visible_at = excluded.visible_at, transaction = excluded.transaction, place = excluded.place, nth = excluded.nth,
    since = excluded.since, logged_created_at = NULL, logged_id = NULL
