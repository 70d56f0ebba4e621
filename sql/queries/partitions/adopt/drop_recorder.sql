-- Stops recording changes: drops the function, and its triggers with it.
DROP FUNCTION IF EXISTS {recorder}() CASCADE
