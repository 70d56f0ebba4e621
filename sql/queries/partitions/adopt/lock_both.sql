-- For the moment of the swap nobody else is in either table.
LOCK TABLE ONLY {old}, ONLY {new} IN ACCESS EXCLUSIVE MODE
