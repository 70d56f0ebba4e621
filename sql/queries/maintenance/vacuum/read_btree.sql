-- A B-tree's bytes, its pages in use, and how full its leaf pages are in percent, as read by pgstattuple.
SELECT index_size, leaf_pages + internal_pages, CASE WHEN leaf_pages > 0 THEN avg_leaf_density ELSE 0 END
FROM {schema}.pgstatindex(%(oid)s::oid::regclass)
