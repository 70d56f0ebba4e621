"""Tables that are partitioned by time: partitions made before a row needs them, and removed whole.

`premake` creates, `default_rows` moves rows into partitions of their own, `detach` also completes what was
interrupted, `expired` chooses, `drop` removes. Each keeps to short locks, and gives up with a reason rather
than queue in front of others.
"""
