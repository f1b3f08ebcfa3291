"""The solver: runs a graph once, in parallel, from the cache where it can. It knows `Op`, not what ops do."""
