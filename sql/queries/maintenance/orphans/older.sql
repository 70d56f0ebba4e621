-- The current version of the row was written by a transaction before the horizon. Transaction IDs wrap around, so
-- those up to 2^30 after the horizon are younger and all others are older. A row that is updated while we wait for it
-- is a new version and checked again: so a child that has just got a parent is kept.
((age({horizon}::xid8::xid)::bigint - age(target.xmin)) & 4294967295) >= 1073741824
