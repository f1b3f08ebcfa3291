"""Certificates from an authority outside of the swarm: a fake cfssl over real TLS, nodes with real links."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scow.errors import Internal, InvalidArgument, Unavailable
from scow.swarm import ca, joining, service
from scow.swarm.ca import answers, external
from scow.swarm.links import tls
from scow.swarm.objects import Cluster
from tests.fakes.cfssl import Cfssl, cfssl
from tests.support.asynchronous import on_loop, until
from tests.support.ports import free_port
from tests.support.swarm import Host, hosts, pair
from tests.unit.swarm.test_rotation import certificate, converged, rotate, trusted, update

HOUR = 3600 * 10**9


def manager_of(root: ca.KeyPair) -> ca.KeyPair:
    asked = ca.new_request("boss")
    return ca.KeyPair(ca.sign(root, asked.certificate, "boss", "manager", "cluster", 100 * HOUR), asked.key)


def outside(root: ca.KeyPair, *urls: str) -> external.External:
    own = manager_of(root)
    return external.External(urls, tls.external(root.certificate, own.certificate, own.key))


@on_loop
async def test_a_request_is_cfssl_s_and_urls_are_tried_in_turn() -> None:
    root = ca.new_root()
    async with cfssl(root) as server:
        request = ca.new_request("n1")
        body = external.node_request(request.certificate, "n1", "manager", "c1")
        made = await outside(root, f"https://127.0.0.1:{free_port()}/x", "http://127.0.0.1/", server.url).sign(body)
        assert answers.node_certificate(made, request.certificate, ("n1", "manager", "c1"), root.certificate, time.time_ns()) == made
        assert server.callers == ["boss"]  # mutual TLS
        assert server.asked == [
            {
                "hosts": ["swarm-manager", "n1", "swarm-ca"],
                "certificate_request": request.certificate,
                "subject": {"CN": "n1", "names": [{"OU": "swarm-manager", "O": "c1"}]},
                "profile": "",
            }
        ]


@on_loop
async def test_answers_that_are_none_are_refused_with_a_sentence() -> None:
    root = ca.new_root()
    async with cfssl(root) as server:
        body = external.node_request(ca.new_request("n1").certificate, "n1", "worker", "c1")
        for answer, why in (
            (b"no json", "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b"[]", "did not sign the certificate: it gives no reason"),
            (b'{"success": true, "result": {"certificate": 3}}', "did not sign"),
            (Cfssl.refusal("policy\nviolation"), "did not sign the certificate: policy violation"),
            (b"x" * (300 << 10), "too long"),
        ):
            server.answer = lambda asked, answer=answer: answer  # type: ignore[misc]
            with pytest.raises(Unavailable, match=why):
                await outside(root, server.url).sign(body)
        server.status = 302
        with pytest.raises(Unavailable, match="status 302"):
            await outside(root, server.url).sign(body)
        with pytest.raises(Unavailable, match="certificate is not believed"):
            await outside(ca.new_root(), server.url).sign(body)
        with pytest.raises(Unavailable, match="wrong: it begins with https") as caught:
            await outside(root, "http://user:secret@127.0.0.1/").sign(body)
        assert "secret" not in caught.value.message


@on_loop
async def test_an_authority_that_does_not_answer_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "_SECONDS", 0.5)
    root = ca.new_root()
    body = external.node_request(ca.new_request("n1").certificate, "n1", "worker", "c1")
    async with cfssl(root) as server:
        server.silent = True
        with pytest.raises(Unavailable, match="did not answer within"):
            await outside(root, server.url).sign(body)
        gone = f"https://127.0.0.1:{free_port()}/"
        assert await outside(root, gone, server.url).reachable()
        assert not await outside(root, gone).reachable()
        assert not await outside(ca.new_root(), server.url).reachable()


def test_a_certificate_that_was_not_asked_for_is_not_given_out() -> None:
    root, other = ca.new_root(), ca.new_root()
    request, now = ca.new_request("n1"), time.time_ns()
    wanted = ("n1", "worker", "c1")
    asked = external.node_request(request.certificate, *wanted)
    signer = Cfssl(root)

    def check(text: str) -> str:
        return answers.node_certificate(text, request.certificate, wanted, root.certificate, now)

    good = signer.certificate(asked)
    assert check("some text\n" + good.replace("\n", "\r\n") + root.certificate) == good
    makers: list[tuple[Callable[[], str], str]] = [
        (lambda: "", "holds none"),
        (lambda: good * 20, "far too many"),
        (lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
        (lambda: signer.certificate({**asked, "certificate_request": ca.new_request("n1").certificate}), "another key"),
        (lambda: signer.certificate({**asked, "profile": "CA", "extensions": [{"id": "2.5.29.19"}]}), "could sign others"),
        (lambda: signer.certificate({**asked, "subject": {**asked["subject"], "CN": "n2"}}), 'its CN is not "n1"'),
        (lambda: signer.certificate(external.node_request(request.certificate, "n1", "manager", "c1")), 'its OU is not "swarm-worker"'),
        (lambda: signer.certificate(external.node_request(request.certificate, "n1", "worker", "c2")), 'its O is not "c1"'),
        (lambda: signer.certificate({**asked, "hosts": ["n1"]}), "host name"),
        (lambda: signer.certificate(asked, days=-1), "does not hold now"),
        (lambda: Cfssl(other).certificate(asked), "not signed by the swarm's root"),
        (lambda: good + other.certificate, "not signed by the swarm's root"),
        (lambda: good + good, "is no authority"),
    ]
    for make, why in makers:
        with pytest.raises(Unavailable, match=why):
            check(make())


def test_a_cross_signed_root_is_checked() -> None:
    old, new, now = ca.new_root(), ca.new_root(), time.time_ns()
    asked = external.cross_request(new)
    assert asked["profile"] == "CA"
    assert asked["subject"] == {"CN": "swarm-ca", "names": []}
    made = Cfssl(old).certificate(asked)
    assert answers.cross_signed(made, new.certificate, old.certificate, now) == made
    with pytest.raises(Unavailable, match="another root"):
        answers.cross_signed(made, ca.new_root().certificate, old.certificate, now)
    with pytest.raises(Unavailable, match="not signed by"):
        answers.cross_signed(Cfssl(ca.new_root()).certificate(asked), new.certificate, old.certificate, now)
    plain = Cfssl(old).certificate({**asked, "profile": "", "hosts": ["x"], "subject": {"CN": "swarm-ca", "names": []}})
    with pytest.raises(Unavailable, match="profile CA"):
        answers.cross_signed(plain, new.certificate, old.certificate, now)


def cluster(host: Host) -> Cluster:
    return host.swarm._store.all(Cluster)[0]


@on_loop
async def test_a_swarm_goes_to_an_external_root_lives_with_it_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_AGAIN_SECONDS", 0.1)
    async with hosts(tmp_path, 3) as (boss, worker, late):
        await boss.init()
        await worker.join(boss)
        root, before = ca.new_root(), trusted(boss)
        async with cfssl(root, before) as server:
            with pytest.raises(InvalidArgument, match="external CA corresponding to the desired CA certificate"):
                await update(boss, SigningCACert=root.certificate, ExternalCAs=[server.row(CACert=before)])
            with pytest.raises(InvalidArgument, match="external CA corresponding to the desired CA certificate"):
                await update(boss, SigningCACert=root.certificate, ExternalCAs=[server.row(URL=f"https://127.0.0.1:{free_port()}")])
            await update(boss, SigningCACert=root.certificate, ExternalCAs=[server.row()])
            await until(lambda: converged(boss, before))
            assert trusted(boss) == root.certificate
            assert not cluster(boss).root_key
            assert {row["subject"]["CN"] for row in server.asked} == {boss.id, worker.id}
            await late.join(boss)
            assert ca.identity(certificate(late)).node_id == late.id
            gone = late.id
            await late.swarm.leave(False)
            await until(lambda: boss.nodes()[gone]["Status"]["State"] == "down")
            await boss.swarm.control.remove_node(gone, False)

            server.answer = lambda asked: Cfssl.refusal("out of order")
            with pytest.MonkeyPatch.context() as patch, pytest.raises(Unavailable, match="Timeout was reached before node joined"):
                patch.setattr(service, "_JOIN_SECONDS", 0.3)
                await late.join(boss)
            await until(lambda: "out of order" in late.swarm.info()["Error"])
            server.answer = lambda asked: Cfssl(ca.new_root()).sign(asked)
            await until(lambda: "not signed by the swarm's root" in late.swarm.info()["Error"])
            assert late.swarm.info()["LocalNodeState"] == "pending"
            await late.swarm.leave(False)
            with pytest.raises(Internal, match="unable to generate a cross-signed certificate"):
                await rotate(boss)
            server.answer = server.sign

            with pytest.raises(InvalidArgument, match="external CA corresponding to the current CA certificate"):
                await update(boss, ExternalCAs=[])
            second = ca.new_root()
            async with cfssl(second, root.certificate) as another:
                with pytest.raises(InvalidArgument, match="from one external CA to a different external CA is not supported"):
                    await update(boss, SigningCACert=second.certificate, ExternalCAs=[server.row(), another.row()])

            await rotate(boss)  # to a root of the swarm's own, for which the external one gives its word
            await until(lambda: converged(boss, root.certificate))
            assert [row["profile"] for row in server.asked].count("CA") >= 1
            assert cluster(boss).root_key
            await update(boss, ExternalCAs=[])
            await late.join(boss)


@on_loop
async def test_nodes_wait_for_an_authority_that_is_away_and_say_so(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        root, before = ca.new_root(), trusted(boss)
        async with cfssl(root, before) as server:
            server.answer = lambda asked: Cfssl.refusal("on strike")
            await update(boss, SigningCACert=root.certificate, ExternalCAs=[server.row()])
            await until(lambda: "on strike" in worker.swarm.info()["Error"] and "on strike" in boss.swarm.info()["Error"])
            assert boss.swarm.inspect()["RootRotationInProgress"]
            await until(lambda: worker.swarm.info()["LocalNodeState"] == "active")  # it works on with what it has
            server.answer = server.sign
            await until(lambda: converged(boss, before))
            await until(lambda: not worker.swarm.info()["Error"] and not boss.swarm.info()["Error"])


@on_loop
async def test_a_key_given_later_makes_an_external_root_the_swarm_s_own(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        root, before = ca.new_root(), trusted(boss)
        async with cfssl(root, before) as server:
            await update(boss, SigningCACert=root.certificate, ExternalCAs=[server.row()])
            await until(lambda: converged(boss, before))
        await update(boss, SigningCACert=root.certificate, SigningCAKey=root.key, ExternalCAs=[])
        assert cluster(boss).root_key == root.key
        await worker.join(boss)
        assert trusted(boss) == root.certificate


@on_loop
async def test_an_external_ca_of_the_present_root_signs_though_its_key_is_here(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        held = ca.KeyPair(trusted(boss), cluster(boss).root_key)
        async with cfssl(held) as server:
            await update(boss, ExternalCAs=[server.row(CACert="")])
            await worker.join(boss)
            assert [row["hosts"] for row in server.asked] == [["swarm-worker", worker.id]]
            assert server.callers == [boss.id]
