-- The ctids of marked orphans, so that deletes need no search.

-- Earlier results of sweeps lack the ctids; the next run sweeps again from the beginning.
DELETE FROM ops.missing_parents WHERE source = 'sweep';
UPDATE ops.orphan_tracks SET swept_at = NULL;
DELETE FROM ops.maintenance_cursors WHERE policy LIKE '%/orphans/%';

ALTER TABLE ops.missing_parents DROP COLUMN first_block, DROP COLUMN end_block, ADD COLUMN places tid[];

COMMENT ON COLUMN ops.missing_parents.heap IS 'The table or partition in which a sweep found the children';
COMMENT ON COLUMN ops.missing_parents.places IS
  'Their ctids in the heap at that time. A row there now is deleted only if it is old enough and refers to one of the keys';

-- Compressing them would cost more than writing them.
ALTER TABLE ops.missing_parents ALTER COLUMN places SET STORAGE EXTERNAL, ALTER COLUMN keys SET STORAGE EXTERNAL;
