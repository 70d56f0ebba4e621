-- No hold can be added until this transaction ends.
SELECT ops.keep_holds()
