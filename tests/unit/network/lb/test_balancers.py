"""Which datagrams' ways are forgotten when the tasks behind an address change."""

from scow.network.lb.balancers import _dropped
from scow.network.lb.render import Virtual


def test_only_a_lost_task_makes_an_address_forget_its_flows() -> None:
    before = (Virtual("10.0.0.2", ("10.0.0.3",)), Virtual("10.0.0.9", ("10.0.0.10", "10.0.0.11")))
    assert _dropped(before, before) == set()
    assert _dropped(before, (*before, Virtual("10.0.0.20", ("10.0.0.21",)))) == set()
    assert _dropped(before, (Virtual("10.0.0.2", ("10.0.0.3", "10.0.0.4")), before[1])) == set()
    assert _dropped(before, (before[0], Virtual("10.0.0.9", ("10.0.0.11",)))) == {"10.0.0.9"}
    assert _dropped(before, (before[1],)) == {"10.0.0.2"}
