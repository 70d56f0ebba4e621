-- Records that a table's adoption has begun.
INSERT INTO ops.adoptions (schema, name, old, new, column_name, time_zone, first_day)
VALUES (%(schema)s, %(name)s, %(old)s, %(new)s, %(column)s, %(time_zone)s, %(first_day)s)
RETURNING id
