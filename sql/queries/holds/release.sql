-- A hold ends, if it has not been released before.
SELECT ops.release_hold(%(id)s, %(by)s)
