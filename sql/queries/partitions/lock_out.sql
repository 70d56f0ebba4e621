-- Keeps everybody else from a table and its default partition while rows move between partitions: who had
-- looked up the partitions before would miss the rows, and an update that waits for a row would be lost.
LOCK TABLE ONLY {table}, ONLY {default} IN ACCESS EXCLUSIVE MODE
