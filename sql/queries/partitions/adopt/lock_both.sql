-- During the swap no other session can use either table.
LOCK TABLE ONLY {old}, ONLY {new} IN ACCESS EXCLUSIVE MODE
