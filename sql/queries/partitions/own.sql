-- Makes the owner of the table the owner of a new partition; that role must be able to alter both.
ALTER TABLE {partition} OWNER TO {owner}
