-- The bytes of a page.
SELECT current_setting('block_size')::int
