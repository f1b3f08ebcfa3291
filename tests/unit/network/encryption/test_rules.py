from scow.network.encryption import rules


def test_packets_of_encrypted_networks_pass_by_the_tunnel_only() -> None:
    text = rules.text(4790)
    assert text.startswith("add table inet scow_encryption\nflush table inet scow_encryption\n")
    assert 'iifname != "lo" udp dport 4790 drop' in text
    out = text[text.index("chain out") :]
    assert out.index('oifname "swg-*" udp dport 4790 accept') < out.index("ip6 daddr fd53:636f:7700::/48 drop")


def test_taking_it_away_is_fine_without_it() -> None:
    assert rules.none() == "add table inet scow_encryption\ndelete table inet scow_encryption\n"
