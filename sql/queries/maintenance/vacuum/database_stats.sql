-- Updates the database's datfrozenxid, since version 16, after tables were vacuumed without doing that.
VACUUM (ONLY_DATABASE_STATS)
