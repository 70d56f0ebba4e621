-- A table for archived rows on their way back.
SELECT ops.create_staging(%(name)s, %(fields)s, %(types)s)
