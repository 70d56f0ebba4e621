-- The row as it is now was written by a transaction before the horizon. Numbers of transactions go round, so
-- what lies up to 2^30 of them behind the horizon is younger and all else is older. A row that is changed
-- while we wait for it is a new one and looked at as such: that keeps a child that has just found a parent.
((age({horizon}::xid8::xid)::bigint - age(target.xmin)) & 4294967295) >= 1073741824
