-- One table. Its options are put together by the server's version and the policy.
VACUUM ({options}) {table}
