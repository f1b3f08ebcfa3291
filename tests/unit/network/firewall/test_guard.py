"""The table that keeps containers to their own addresses."""

import pytest

from scow.network.firewall import guard
from scow.network.firewall.guard import Guard, Guards
from scow.network.osl import Interface
from tests.fakes.nft import FakeNft
from tests.support.asynchronous import on_loop

ONE = Guard.of(Interface("eth0", "veth1", "br", "02:42:0a:00:00:02", "10.0.0.2", 24, more=(("fd00::2", 64),)))


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> FakeNft:
    return FakeNft.below(guard, monkeypatch)


def test_what_belongs_to_an_interface() -> None:
    assert Guard("veth1", "02:42:0a:00:00:02", ("10.0.0.2", "fd00::2", "fe80::42:aff:fe00:2")) == ONE
    assert guard.change("add", [ONE]) == (
        'add element bridge scow ports { "veth1" }\n'
        'add element bridge scow macs { "veth1" . 02:42:0a:00:00:02 }\n'
        'add element bridge scow four { "veth1" . 10.0.0.2 }\n'
        'add element bridge scow six { "veth1" . fd00::2, "veth1" . fe80::42:aff:fe00:2 }\n'
        'add element bridge scow targets { "veth1" . 0xfd000000000000000000000000000002, "veth1" . 0xfe8000000000000000420afffe000002 }\n'
    )


@on_loop
async def test_interfaces_come_and_go(nft: FakeNft) -> None:
    guards = Guards()
    await guards.open([])
    await guards.add([ONE])
    await guards.add([ONE])
    assert len(nft.runs) == 2
    await guards.remove(["veth1", "veth2"])
    assert nft.runs[-1].startswith('delete element bridge scow ports { "veth1" }')
    nft.fail = True
    await guards.add([ONE])
    assert nft.runs[-1] == guard.render([ONE])
    await guards.close(remove_table=True)
    assert nft.runs[-1].endswith("delete table bridge scow\n")


@on_loop
async def test_a_kernel_without_it(nft: FakeNft) -> None:
    guards = Guards()
    nft.fail = True
    await guards.open([ONE])
    await guards.add([ONE])
    await guards.remove(["veth1"])
    await guards.repair()
    assert not nft.runs
