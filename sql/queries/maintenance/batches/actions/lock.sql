-- Locks the rows of a range that may be deleted, as their DELETE would, and answers with where they lie
-- and how many they are.
SELECT array_agg(tid)::text, count(*)
FROM (SELECT target.ctid AS tid FROM {heap} AS target WHERE {condition} FOR UPDATE OF target {skip_locked}) AS locked
