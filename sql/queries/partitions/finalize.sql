-- Completes an interrupted detach.
ALTER TABLE {table} DETACH PARTITION {partition} FINALIZE
