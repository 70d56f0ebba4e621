-- Gives a new partition to the owner of its table, who must be able to alter both.
ALTER TABLE {partition} OWNER TO {owner}
