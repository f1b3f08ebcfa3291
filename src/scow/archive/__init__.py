"""Tar archives: reading, writing, and the processes that pack and unpack trees. Nothing is stored here.

`tar` knows the format, `streams` the bytes (compression, hashing), `unpack` and `pack` the trees, `jobs` what is done with them, `chroot`
where; `worker` runs jobs in a process of its own, `workers` is the daemon's door to those processes. All but `workers` import the standard
library and `kernel` only.
"""
