"""The store of the cluster's objects: reads at once, writes in transactions, watches. `memory.py` is one, `etcd/` the other."""
