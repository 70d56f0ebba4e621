-- This transaction reads one state of the database, and nothing else.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY
