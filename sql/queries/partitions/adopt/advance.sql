-- Records that an adoption has reached its next state.
UPDATE ops.adoptions
SET state = %(state)s,
    swapped_at = CASE WHEN %(state)s = 'swapped' THEN clock_timestamp() ELSE swapped_at END,
    ended_at = CASE WHEN %(state)s IN ('finished', 'aborted') THEN clock_timestamp() ELSE ended_at END
WHERE id = %(id)s
