-- Until this transaction is over no hold can be added.
SELECT ops.keep_holds()
