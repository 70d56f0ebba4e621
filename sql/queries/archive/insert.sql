-- Records files in the transaction that deletes their rows.
SELECT ops.record_archives({files})
