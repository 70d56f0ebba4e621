-- Up to where rows have been copied; in the transaction of the batch it speaks of.
UPDATE ops.adoptions SET position = %(position)s, copied = copied + %(rows)s WHERE id = %(id)s
