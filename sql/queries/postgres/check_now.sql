-- Checks deferrable constraints at the end of each statement of this transaction.
SET CONSTRAINTS ALL IMMEDIATE
