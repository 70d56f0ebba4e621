-- Locks the deletable rows of a range, as their DELETE would, and returns their ctids and their number.
SELECT array_agg(tid)::text, count(*)
FROM (SELECT target.ctid AS tid FROM {heap} AS target WHERE {condition} FOR UPDATE OF target {skip_locked}) AS locked
