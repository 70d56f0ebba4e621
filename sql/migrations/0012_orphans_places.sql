-- Where the marked orphans lie, so that a removal goes straight to them.
-- depends: 0011_orphans

-- What a sweep had listed so far says too little; the next run sweeps again, from the beginning.
DELETE FROM ops.missing_parents WHERE source = 'sweep';
UPDATE ops.orphan_tracks SET swept_at = NULL;
DELETE FROM ops.maintenance_cursors WHERE policy LIKE '%/orphans/%';

ALTER TABLE ops.missing_parents DROP COLUMN first_block, DROP COLUMN end_block, ADD COLUMN places tid[];

COMMENT ON COLUMN ops.missing_parents.heap IS 'The table or partition in which a sweep has seen the children';
COMMENT ON COLUMN ops.missing_parents.places IS
  'Where in the heap they were then. A row that lies there now goes only if it is old enough and misses one of the keys';

-- To compress them would cost more than to write them.
ALTER TABLE ops.missing_parents ALTER COLUMN places SET STORAGE EXTERNAL, ALTER COLUMN keys SET STORAGE EXTERNAL;
