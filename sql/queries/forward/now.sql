-- The current snapshot, the time, and which server that is: snapshots of one server mean nothing on another.
SELECT pg_current_snapshot()::text, clock_timestamp(), (SELECT system_identifier::text FROM pg_control_system())
