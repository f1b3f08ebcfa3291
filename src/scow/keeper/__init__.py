"""The keeper: one process per daemon that holds the containers' stdio, writes their logs and records their exits.

Stored: exit records (run/exits/<container id>) and log files. Standard library and `kernel` only. Started by `runtime.link`.
See docs/design/runtime.md.
"""
