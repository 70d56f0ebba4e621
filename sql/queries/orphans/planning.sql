-- How this transaction's statement is planned: with room for its hashes, and, where a window has bounds of its own
-- on both sides, without nested loops. PostgreSQL cannot tell how many rows lie between two UUIDs; it
-- expects one, and would go through all parents of the window for each child.
SELECT set_config('work_mem', %(work_mem)s, true), set_config('enable_nestloop', %(nestloop)s, true)
