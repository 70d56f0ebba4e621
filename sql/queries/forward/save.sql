-- Moves a target's position on, and counts the events that it has acknowledged since the last time.
UPDATE ops.forward_targets
SET seen = %(seen)s, seen_at = %(seen_at)s, visible = %(visible)s, visible_at = %(visible_at)s,
    transaction = %(transaction)s::xid8, place = %(place)s, nth = %(nth)s,
    since = %(since)s, logged_created_at = %(logged_created_at)s::timestamptz, logged_id = %(logged_id)s,
    events = events + %(delivered)s,
    delivered_at = CASE WHEN %(delivered)s > 0 THEN clock_timestamp() ELSE delivered_at END
WHERE name = %(name)s
RETURNING name
