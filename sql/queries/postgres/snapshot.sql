-- Makes this transaction read-only, with one snapshot.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY
