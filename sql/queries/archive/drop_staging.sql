-- Their way is over.
SELECT ops.drop_staging(%(name)s)
