"""Tables partitioned by time: creates partitions ahead of time, and detaches and drops expired ones.

`premake` creates partitions, `default_rows` moves rows out of the default partition, `detach` detaches and
completes interrupted detaches, `expired` finds expired partitions, `drop` drops them. Each uses short locks,
and gives up with a reason rather than block other sessions.
"""
