-- Changes need not be noted any more: the function goes, and its triggers with it.
DROP FUNCTION IF EXISTS {note}() CASCADE
