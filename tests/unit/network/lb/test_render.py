"""The tables of load balancing."""

from scow.network.lb import render
from scow.network.lb.render import Entry, Virtual


def test_virtual_addresses_lead_to_tasks_in_turn() -> None:
    text = render.virtual([Virtual("10.0.1.2", ("10.0.1.3", "10.0.1.4")), Virtual("10.0.1.9", ("10.0.1.5",))], replace=True)
    assert "delete table ip scow_vip" in text
    assert "ip daddr 10.0.1.2 dnat to numgen inc mod 2 map { 0 : 10.0.1.3, 1 : 10.0.1.4 }" in text
    assert "ip daddr 10.0.1.9 dnat to 10.0.1.5" in text and "reject" not in text and "ip6" not in text


def test_a_service_without_tasks_refuses_at_once() -> None:
    text = render.virtual([Virtual("10.0.1.2")], replace=False)
    assert "ip daddr { 10.0.1.2 } reject" in text and "delete" not in text and "dnat" not in text


def test_nothing_balanced_leaves_no_table() -> None:
    assert render.virtual([], replace=False) == ""
    assert render.virtual([], replace=True).splitlines() == ["table ip scow_vip { }", "delete table ip scow_vip"]


def test_the_mesh_leads_published_ports_into_the_ingress_network() -> None:
    text = render.mesh([Entry("udp", 53, 5353, ("10.0.0.3", "10.0.0.4")), Entry("tcp", 80, 80)], "ov-in", ["ov-in", "ov-a"])
    assert text.count("fib daddr type local udp dport 53 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.3, 1 : 10.0.0.4 }:5353") == 2
    assert "tcp dport 80" not in text  # nobody serves it
    assert 'oifname "ov-in" ct status dnat masquerade' in text
    assert 'iifname . oifname { "ov-a" . "ov-a", "ov-in" . "ov-in" } accept' in text and 'iifname { "ov-a", "ov-in" } drop' in text


def test_a_host_without_ingress_publishes_nothing() -> None:
    text = render.mesh([Entry("tcp", 80, 80, ("10.0.0.3",))], "", ["ov-a"])
    assert "dnat" not in text and "masquerade" not in text
