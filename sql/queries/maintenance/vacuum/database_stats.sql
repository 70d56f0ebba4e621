-- Records how old the database's oldest table is, from version 16 on, after tables were vacuumed without it.
VACUUM (ONLY_DATABASE_STATS)
