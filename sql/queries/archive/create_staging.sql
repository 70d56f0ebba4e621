-- Creates a staging table for a restore.
SELECT ops.create_staging(%(name)s, %(fields)s, %(types)s)
