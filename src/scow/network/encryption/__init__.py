"""Encrypted overlay networks: their VXLAN packets go between hosts through WireGuard (`docs/adr/0005`). Called by `engine_executor`.

`keys.py` a node's keys, their file and their rotation; `devices.py` WireGuard in the kernel or as a program; `rules.py` the firewall that
keeps such packets inside; `tunnel.py` all of it together. Stored: `<run>/encryption`, which does not outlive the host.
"""
