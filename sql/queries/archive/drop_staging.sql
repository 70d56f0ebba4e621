-- Drops a staging table after a restore.
SELECT ops.drop_staging(%(name)s)
