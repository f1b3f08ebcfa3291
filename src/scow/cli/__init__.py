"""`scow`: command table, flags, terminals, tables. An API client and nothing else; works against every engine that speaks Docker."""
