-- The default partition, for rows of any date.
CREATE TABLE {partition} PARTITION OF {new} DEFAULT
