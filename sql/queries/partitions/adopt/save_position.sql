-- Saves up to where rows were copied, in the transaction of that batch.
UPDATE ops.adoptions SET position = %(position)s, copied = copied + %(rows)s WHERE id = %(id)s
