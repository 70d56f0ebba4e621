-- The cutoff of the grace period; the latest time since which a parent has been missing, of those missing for the
-- grace period; and the same of those within it.
SELECT now.moment - %(grace)s,
       max(since) FILTER (WHERE since <= now.moment - %(grace)s),
       max(since) FILTER (WHERE since > now.moment - %(grace)s)
FROM (SELECT clock_timestamp() AS moment) AS now
LEFT JOIN ops.missing_parents AS missing ON missing.policy = %(policy)s AND missing.keys IS NOT NULL
GROUP BY now.moment
