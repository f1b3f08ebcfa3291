"""The root of etcd's members is exchanged: the plan as a table of its own, then real members (slow)."""

from collections.abc import Sequence
from dataclasses import replace

from scow.swarm import ca
from scow.swarm.ca import peers
from scow.swarm.ca.peers import BOTH, DROP, SIGN, Trust
from scow.swarm.manager.peers import PeerRotation, asked, planned
from scow.swarm.objects import Cluster, Node
from scow.swarm.state import NodeState
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import Tx
from tests.support.asynchronous import on_loop


def node(id: str, mark: str = "", manager: bool = True, member: str = "") -> Node:
    return Node(id=id, manager={"Addr": id} if manager else None, member_id=member or f"m-{id}", peer_mark=mark)


def test_members_of_two_steps_that_follow_each_other_believe_each_other() -> None:
    exchange: peers.Doc | None = peers.begun(ca.new_root())
    assert exchange is not None
    before = Trust(ca.KeyPair(exchange["Root"], exchange["Key"]), exchange["Root"])
    steps = []
    while exchange is not None:
        now = peers.wanted(exchange)
        assert before.root.certificate in now.believed
        assert now.root.certificate in before.believed
        assert now.mark != before.mark
        steps.append(exchange["Step"])
        before, exchange = now, peers.moved(exchange)
    assert steps == [BOTH, SIGN, DROP]
    assert "BEGIN" not in before.mark


def test_an_exchange_asked_for_meanwhile_comes_after_it() -> None:
    cluster = Cluster(id="c")
    root, change = ca.new_root(), {"rotation": {"Certificate": "a"}}
    assert asked(cluster, {}, root) == {}
    assert asked(cluster, {"rotation": None}, root) == {}
    first = cluster.changed(**asked(cluster, change, root), **change)
    assert first.peers is not None
    assert first.peers["Root"] == root.certificate
    assert asked(first, {"rotation": {"Certificate": "a", "Key": "given later"}}, root) == {}
    second = asked(first, {"rotation": {"Certificate": "b"}}, ca.new_root())["peers"]
    assert second == {**first.peers, "Again": True}
    third = peers.moved({**second, "Step": DROP})
    assert third is not None
    assert (third["Step"], third["Root"], third["Again"]) == (BOTH, second["Next"], False)


def walk(exchange: peers.Doc, nodes: Sequence[Node], gone: set[str] | None = None, leader: str = "b") -> tuple[list[str], list[Node]]:
    """Go on until it has to wait, each turn and each certificate taken at once; what happened."""
    seen, now = [], list(nodes)
    while True:
        after = planned(exchange, now, gone or set(), leader)
        if after is None:
            return [*seen, "end"], now
        if after is exchange and after["Step"] != SIGN:
            return seen, now
        exchange, mark = after, peers.wanted(after).mark
        if exchange["Step"] == SIGN:
            now = [one.changed(peer_mark=mark) for one in now]
            seen.append(SIGN)
        elif exchange["Turn"]:
            seen.append(f"{exchange['Step']} {exchange['Turn']}")
            now = [one.changed(peer_mark=mark) if one.id == exchange["Turn"] else one for one in now]


def test_one_after_another_is_started_again_and_the_leader_last() -> None:
    nodes = [node("a"), node("b"), node("c"), Node(id="worker")]
    seen, _ = walk(peers.begun(ca.new_root()), nodes)
    assert seen == ["both a", "both c", "both b", SIGN, "drop a", "drop c", "drop b", "end"]


def test_a_turn_is_kept_until_its_manager_has_told_or_is_none() -> None:
    exchange = {**peers.begun(ca.new_root()), "Turn": "c"}
    nodes = [node("a"), node("b"), node("c")]
    assert planned(exchange, nodes, set(), "b") is exchange
    told = [node("a"), node("b"), node("c", peers.wanted(exchange).mark)]
    for rest, gone in ((told, set[str]()), (nodes[:2], set[str]()), (nodes, {"m-c"})):
        after = planned(exchange, rest, gone, "b")
        assert after is not None
        assert after["Turn"] == "a"
    assert planned(exchange, [], set(), "b") is exchange


def test_who_comes_in_meanwhile_is_waited_for_and_who_never_came_is_not() -> None:
    exchange = peers.begun(ca.new_root())
    mark = peers.wanted(exchange).mark
    there = [node("a", mark), node("b", mark)]
    after = planned(exchange, [*there, node("late", manager=False)], set(), "b")
    assert after is not None
    assert (after["Step"], after["Turn"]) == (BOTH, "late")
    after = planned(exchange, [*there, node("late", manager=False, member="7")], {"7"}, "b")
    assert after is not None
    assert after["Step"] == SIGN


@on_loop
async def test_the_leader_s_loop_moves_it_in_the_store() -> None:
    store = MemoryStore()
    known = {"m-a", "m-b"}

    async def members() -> set[str]:
        return known

    def begin(tx: Tx) -> None:
        tx.create(Cluster(id="c", peers=peers.begun(ca.new_root())))
        for one in (node("a"), node("b"), node("lost", manager=False)):
            tx.create(one)

    await store.update(begin)
    loop = PeerRotation(store, "a", members)
    turns = []
    while (exchange := store.all(Cluster)[0].peers) is not None:
        mark, turn = peers.wanted(exchange).mark, exchange["Turn"]
        turns.append(turn)

        def tell(tx: Tx, mark: str = mark, turn: str = turn, step: str = exchange["Step"]) -> None:
            for one in tx.all(Node):
                if one.id == turn or step == SIGN:
                    tx.update(one.changed(peer_mark=mark))

        await store.update(tell)
        await loop.tick()
    assert turns == ["", "b", "a", "", "", "b", "a"]


def test_a_node_s_state_keeps_what_its_member_works_with() -> None:
    root = ca.new_root()
    state = NodeState("n", "c", "manager", "l", "a", "d", peer_root=root.certificate, peer_key=root.key)
    assert state.trust == Trust(root, root.certificate)  # as kept by versions without an exchange
    wanted = peers.wanted(peers.begun(root))
    assert state.trusting(wanted).trust == wanted
    key = ca.new_unlock_key()
    sealed = state.trusting(replace(wanted, root=ca.new_root())).sealed(key)
    assert not sealed.peer_key
    assert sealed.unlocked(key).trust.believed == wanted.believed
