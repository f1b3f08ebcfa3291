"""Swarm: many hosts as one engine.

State of the cluster lies in a store (in memory for tests and simulation, in etcd for real), and components meet only there: the control
API writes specs, orchestrators make tasks of them, the allocator gives them addresses, the scheduler nodes, the dispatcher tells the
nodes' agents, and agents report back. Secrets are encrypted in the store. `docs/design/swarm.md` draws it.
"""
