-- One key that two staged rows have.
SELECT ROW({values})::text FROM {staging} AS staged GROUP BY {values} HAVING count(*) > 1 LIMIT 1
