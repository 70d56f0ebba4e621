-- Changes need not be recorded any more: the function goes, and its triggers with it.
DROP FUNCTION IF EXISTS {recorder}() CASCADE
