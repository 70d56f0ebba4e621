-- A row of any date finds a home.
CREATE TABLE {partition} PARTITION OF {new} DEFAULT
