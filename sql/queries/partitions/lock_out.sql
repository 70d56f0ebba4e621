-- Blocks other sessions from a table and its default partition while rows move between partitions: a session that had
-- already chosen its partitions would miss the rows, and an update that waits for a row would be lost.
LOCK TABLE ONLY {table}, ONLY {default} IN ACCESS EXCLUSIVE MODE
