"""The container network model: networks, endpoints, sandboxes (network namespaces), addresses, firewall, ports, names.

Stored in tables `networks` (one row a network) and `sandboxes` (one row an attached container: its addresses and ports). What the
kernel holds (bridges `scow0`/`br-<id>`, pins in run/netns, veth links, the nft table `inet scow`) is derived from those rows and repaired
at boot. Door: `service.NetworkService`.
"""
