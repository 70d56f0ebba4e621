-- The size of a page in bytes.
SELECT current_setting('block_size')::int
