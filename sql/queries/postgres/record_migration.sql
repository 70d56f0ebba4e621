-- Records a migration, in the transaction that applies it.
INSERT INTO ops.migrations (name) VALUES (%(name)s)
