-- What has been missing for the grace: up to which moment that is, since when the youngest of it, and how many
-- children refer to it; then what is still in its grace: since when the youngest, and how many children.
SELECT now.moment - %(grace)s,
       max(since) FILTER (WHERE since <= now.moment - %(grace)s),
       coalesce(sum(rows) FILTER (WHERE since <= now.moment - %(grace)s), 0)::bigint,
       max(since) FILTER (WHERE since > now.moment - %(grace)s),
       coalesce(sum(rows) FILTER (WHERE since > now.moment - %(grace)s), 0)::bigint
FROM (SELECT clock_timestamp() AS moment) AS now
LEFT JOIN ops.missing_parents AS missing ON missing.policy = %(policy)s AND missing.keys IS NOT NULL
GROUP BY now.moment
