-- The enabled triggers, except ours, that an event (a bit of pg_trigger.tgtype) fires on these tables and their
-- partitions, and whose function names a table that row security hides from the role it runs as, without setting
-- row_security = on itself: trigger, function, role, the hidden tables, the trigger's table.
SELECT t.tgname::text, format('%%I.%%I()', f.nspname, p.proname), r.rolname::text,
       array_agg(DISTINCT format('%%s.%%s', hn.nspname, h.relname)), c.oid, n.nspname, c.relname
FROM unnest(%(tables)s::oid[], %(events)s::int[]) AS fired (oid, event)
CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(fired.oid) UNION SELECT fired.oid) AS heap (oid)
JOIN pg_trigger t ON t.tgrelid = heap.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
  AND (t.tgparentid = 0 OR heap.oid = fired.oid) AND t.tgtype & fired.event = fired.event
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace f ON f.oid = p.pronamespace AND f.nspname <> 'ops'
JOIN pg_roles r ON CASE WHEN p.prosecdef THEN r.oid = p.proowner ELSE r.rolname = current_user END
JOIN pg_class h ON h.relrowsecurity AND h.relkind IN ('r', 'p')
  AND p.prosrc ~* ('\m' || regexp_replace(h.relname, '([^[:alnum:]_])', '\\\1', 'g') || '\M')
JOIN pg_namespace hn ON hn.oid = h.relnamespace
JOIN pg_class c ON c.oid = heap.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT r.rolsuper AND NOT r.rolbypassrls
  AND (h.relforcerowsecurity OR NOT pg_has_role(r.oid, h.relowner, 'USAGE'))
  AND coalesce(p.proconfig && ARRAY['row_security=on'], false) IS FALSE
GROUP BY t.oid, f.nspname, p.proname, r.rolname, c.oid, n.nspname, c.relname
ORDER BY n.nspname, c.relname, t.tgname
