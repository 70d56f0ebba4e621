-- Sets the parameters of the fill; see demo/prepare.
INSERT INTO demo (seed, as_of, users, sessions, conversations, memories, bursts)
SELECT %(seed)s, %(as_of)s,
       greatest(1, round(2000 * scale)), greatest(1, round(50000 * scale)),
       greatest(1, round(60000 * scale)), greatest(1, round(250000 * scale)),
       greatest(1, round(50000 * scale))
FROM (SELECT %(scale)s::float8 AS scale) given
RETURNING users, sessions, conversations, memories, bursts
