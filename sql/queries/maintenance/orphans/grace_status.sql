-- What has been missing for the grace: up to which moment that is, since when the youngest of it; and since when the
-- youngest of what is still in its grace.
SELECT now.moment - %(grace)s,
       max(since) FILTER (WHERE since <= now.moment - %(grace)s),
       max(since) FILTER (WHERE since > now.moment - %(grace)s)
FROM (SELECT clock_timestamp() AS moment) AS now
LEFT JOIN ops.missing_parents AS missing ON missing.policy = %(policy)s AND missing.keys IS NOT NULL
GROUP BY now.moment
