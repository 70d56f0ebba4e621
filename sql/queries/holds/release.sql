-- Releases a hold, if it is not released.
SELECT ops.release_hold(%(id)s, %(by)s)
