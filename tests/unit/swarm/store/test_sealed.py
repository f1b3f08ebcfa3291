"""Rows of a swarm's state."""

import pytest

from scow.errors import DataLoss
from scow.swarm.objects import Network
from scow.swarm.store.sealed import Sealer


def test_rows_come_back_and_what_is_none_says_so() -> None:
    sealer = Sealer(b"k" * 32)
    network = Network(id="n", spec={"Name": "net"})
    assert sealer.decode("network", sealer.encode(network)) == network
    with pytest.raises(DataLoss, match="leave the swarm with --force"):
        sealer.decode("network", {"id": "n", "spec": {}})
