-- Lets this transaction wait for its client as long as archiving takes; it holds no snapshot meanwhile.
SELECT set_config(name, '0', true)
FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
