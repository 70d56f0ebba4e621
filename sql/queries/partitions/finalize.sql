-- Completes a detach that was interrupted.
ALTER TABLE {table} DETACH PARTITION {partition} FINALIZE
