"""The firewall of encrypted networks, table `scow_encryption`: their packets come in and go out through the tunnel or not at all, whatever
becomes of its links and routes; and nothing but them comes out of the tunnel."""

from scow.network.encryption.keys import PREFIX

TABLE = "inet scow_encryption"


def text(port: int) -> str:
    """The ruleset; `port`: UDP port of the VXLAN packets within the tunnel."""
    return f"""add table {TABLE}
flush table {TABLE}
table {TABLE} {{
  chain in {{
    type filter hook input priority -20; policy accept;
    iifname "swg-*" udp dport {port} ip6 saddr {PREFIX} accept
    iifname "swg-*" icmpv6 type {{ destination-unreachable, packet-too-big }} accept
    iifname "swg-*" drop
    iifname != "lo" udp dport {port} drop
    ip6 daddr {PREFIX} drop
  }}
  chain forward {{
    type filter hook forward priority -20; policy accept;
    iifname "swg-*" drop
    oifname "swg-*" drop
    ip6 daddr {PREFIX} drop
  }}
  chain out {{
    type filter hook output priority -20; policy accept;
    oifname "swg-*" udp dport {port} accept
    oifname "swg-*" meta l4proto icmpv6 accept
    oifname "swg-*" drop
    ip6 daddr {PREFIX} drop
  }}
}}
"""


def none() -> str:
    """Takes the table away; absent is fine."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"
