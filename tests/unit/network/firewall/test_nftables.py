import pytest

from scow.errors import Internal
from scow.kernel.nft import NftError
from scow.network.firewall import nftables
from scow.network.firewall.nftables import Firewall
from scow.network.firewall.render import BridgeRule, PortRule
from tests.fakes.nft import FakeNft
from tests.support.asynchronous import on_loop

PORT = PortRule("tcp", "", 80, "10.0.0.2", 80)


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> FakeNft:
    return FakeNft.below(nftables, monkeypatch)


@on_loop
async def test_changes_by_element_and_whole(nft: FakeNft) -> None:
    wall = Firewall()
    await wall.open([BridgeRule("scow0", "10.0.0.0/24")], [])
    await wall.add_ports([PORT])
    await wall.add_ports([PORT])
    assert nft.runs[-1].startswith("add element") and len(nft.runs) == 2
    await wall.add_bridge(BridgeRule("br-x", "10.1.0.0/24"))
    assert nft.runs[-1].startswith('add element inet scow links { "br-x" }')
    await wall.remove_bridge("br-x")
    assert nft.runs[-1].startswith('delete element inet scow links { "br-x" }')
    await wall.remove_bridge("br-x")
    nft.fail = True
    await wall.add_bridge(BridgeRule("br-y", "10.2.0.0/24"))
    assert all(text in nft.runs[-1] for text in ("delete table", "br-y", "tcp . 80"))
    await wall.repair()
    assert nft.runs[-1] == nft.runs[-2]
    await wall.remove_ports([PORT])
    assert nft.runs[-1].startswith("delete element")


@on_loop
async def test_a_lost_element_makes_the_table_new(nft: FakeNft) -> None:
    wall = Firewall()
    await wall.open([], [PORT])
    nft.fail = True
    await wall.remove_ports([PORT])
    assert nft.runs[-1].startswith("table inet scow") and "elements" not in nft.runs[-1]


@on_loop
async def test_a_refusal_is_an_internal_error(nft: FakeNft) -> None:
    wall = Firewall()
    nft.fail = True
    with pytest.raises(Internal, match="cannot set up the firewall"):
        await wall.open([], [])


@on_loop
async def test_switched_off_it_runs_nothing(nft: FakeNft) -> None:
    wall = Firewall(enabled=False)
    await wall.open([], [])
    await wall.add_ports([PORT])
    await wall.close(remove_table=True)
    assert nft.runs == []


@on_loop
async def test_the_administrators_table_is_made_once(nft: FakeNft) -> None:
    wall = Firewall(user=True)
    await wall.open([], [])
    assert nft.runs[-1].startswith("create table inet scow_user")
    nft.run = lambda text: (_ for _ in ()).throw(NftError("File exists")) if "create" in text else None
    await wall.repair()
