-- One key that occurs in two staged rows.
SELECT ROW({values})::text FROM {staging} AS staged GROUP BY {values} HAVING count(*) > 1 LIMIT 1
