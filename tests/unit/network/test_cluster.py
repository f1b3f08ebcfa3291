"""Networks of swarm scope as inspect shows them."""

from scow.network.cluster import shown
from scow.network.network import Network


def test_the_hosts_own_end_is_shown_where_the_network_is_made() -> None:
    network = Network("id", "ingress", "overlay", 0, scope="swarm", ingress=True, own_end="10.0.0.2/24")
    found = shown({"Containers": {}}, [{"Name": "n", "IP": "10.1.0.1"}], network, True)
    assert found["Peers"] == [{"Name": "n", "IP": "10.1.0.1"}]
    end = found["Containers"]["ingress-sbox"]
    assert (end["Name"], end["IPv4Address"], end["MacAddress"]) == ("ingress-endpoint", "10.0.0.2/24", "02:42:0a:00:00:02")
    assert shown({"Containers": {}}, [], network, False) == {"Containers": None}
