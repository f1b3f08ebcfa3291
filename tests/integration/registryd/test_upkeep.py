"""Garbage collection and retention, beside a server that goes on serving."""

import os
import threading

from scow.registryd import gc, retention
from scow.registryd.retention import Rule
from scow.registryd.store import open_store
from tests.support.registryserver import image, serving, sha256


def age(registry) -> None:
    """Make everything old."""
    with registry.store.db.update() as tx:
        tx.execute("UPDATE blobs SET touched = 1")
        tx.execute("UPDATE links SET touched = 1")


def collect(registry, grace: float = 3600.0) -> gc.Progress:
    return gc.collect(registry.store, grace)


def test_only_what_nobody_needs_goes(tmp_path):
    with serving(tmp_path, anonymous_push=True, allow_delete=True) as registry:
        kept = registry.push("a", "v1", b"needed", b"shared")
        gone = registry.push("a", "old", b"unneeded", b"shared")
        registry.put_blob("b", b"stray")
        registry.put_blob("b", b"needed")
        assert registry.call("DELETE", f"/v2/a/manifests/{gone}").status == 202
        assert collect(registry).removed == 0, "all of it is young"
        age(registry)
        registry.put_blob("b", b"young")
        result = collect(registry)
        assert (result.removed, result.bytes) == (2, len(b"unneeded" + b"stray"))
        assert registry.call("GET", f"/v2/a/manifests/{kept}").status == 200
        for data, status in ((b"needed", 200), (b"shared", 200), (b"unneeded", 404)):
            assert registry.call("GET", f"/v2/a/blobs/{sha256(data)}").status == status
        assert registry.call("HEAD", f"/v2/b/blobs/{sha256(b'needed')}").status == 404, "b's own link is not needed"
        assert registry.call("HEAD", f"/v2/b/blobs/{sha256(b'young')}").status == 200


def test_a_blob_that_a_client_was_told_of_stays(tmp_path):
    with serving(tmp_path, anonymous_push=True) as registry:
        for data in (b"l", b"{}"):
            registry.put_blob("a", data)
        age(registry)
        assert registry.call("HEAD", f"/v2/a/blobs/{sha256(b'l')}").status == 200
        assert registry.call("POST", f"/v2/b/blobs/uploads/?mount={sha256(b'{}')}&from=a").status == 201
        assert collect(registry).removed == 0
        assert registry.call("GET", f"/v2/a/blobs/{sha256(b'l')}").status == 200
        assert registry.call("GET", f"/v2/b/blobs/{sha256(b'{}')}").status == 200


def test_files_without_a_row_and_rows_without_a_file(tmp_path):
    with serving(tmp_path, anonymous_push=True) as registry:
        registry.push("a", "v1", b"layer")
        stray = tmp_path / "blobs/sha256/ff" / ("ff" * 32)
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"x")
        os.utime(stray, (1, 1))
        assert collect(registry).strays == 1 and not stray.exists()
        os.unlink(registry.store.driver._path(sha256(b"layer")))
        assert registry.call("HEAD", f"/v2/a/blobs/{sha256(b'layer')}").status == 404
        assert registry.code(registry.put_manifest("a", "v2", image(b"layer"))) == (404, "MANIFEST_BLOB_UNKNOWN")
        registry.push("a", "v2", b"layer")
        assert registry.call("GET", f"/v2/a/blobs/{sha256(b'layer')}").body == b"layer"


def test_pushes_go_on_during_a_collection_in_another_process(tmp_path, monkeypatch):
    """The collection works on the directory through a store of its own, as `scow registry gc` does."""
    monkeypatch.setattr(gc, "_STEP", 50)
    with serving(tmp_path, anonymous_push=True) as registry:
        store = open_store(tmp_path)

        def fill() -> None:
            with store.db.update() as tx:
                for at in range(1500):
                    data = b"old %d" % at
                    writer = store.driver.append(f"{at:032x}", 0)
                    writer.write(memoryview(data))
                    writer.close()
                    store.driver.commit(f"{at:032x}", sha256(data))
                    store.catalog.add_blob(tx, "old", sha256(data), len(data))
                tx.execute("UPDATE blobs SET touched = 1")
                tx.execute("UPDATE links SET touched = 1")

        fill()
        reports: list[int] = []
        result: list[gc.Progress] = []
        collector = threading.Thread(target=lambda: result.append(gc.collect(store, 3600.0, lambda one: reports.append(one.scanned))))
        collector.start()
        pushed = []
        for at in range(200):
            # old layers, too: a push may bring back what is just being collected
            pushed.append((f"t{at}", registry.push("new", f"t{at}", b"old %d" % (at * 7), b"new %d" % at)))
            if not collector.is_alive() and at > 10:
                break
        collector.join()
        store.close()
        assert result[0].removed + len(pushed) >= 1500 and reports == sorted(reports) and len(reports) > 5
        for at, (tag, digest) in enumerate(pushed):
            assert registry.call("GET", f"/v2/new/manifests/{tag}").headers["docker-content-digest"] == digest
            for data in (b"old %d" % (at * 7), b"new %d" % at):
                assert registry.call("GET", f"/v2/new/blobs/{sha256(data)}").body == data


def test_retention_takes_tags_and_what_they_held(tmp_path):
    with serving(tmp_path, anonymous_push=True) as registry:
        for at in range(5):
            registry.push("app", f"build-{at}", b"layer %d" % at)
        registry.push("app", "release", b"layer 0")
        subject = sha256(image(b"layer 1"))
        registry.put_blob("app", b"{}")
        about = image(subject={"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 1})
        assert registry.put_manifest("app", sha256(about), about).status == 201
        rules = retention.Rules(registry.store.db)
        rules.add(Rule(0, "app", "build-*", "build-2", keep=2))
        removals = list(retention.planned(registry.store, rules.all()))
        assert [one.tag for one in removals] == ["build-1", "build-0"]
        assert registry.call("GET", "/v2/app/tags/list").json["tags"][0] == "build-0", "a plan changes nothing"
        assert retention.apply(registry.store, removals) == 2
        assert registry.call("GET", "/v2/app/tags/list").json["tags"] == ["build-2", "build-3", "build-4", "release"]
        assert registry.call("GET", f"/v2/app/manifests/{subject}").status == 404
        assert registry.call("GET", f"/v2/app/manifests/{sha256(about)}").status == 404, "what was said about it goes with it"
        assert registry.call("GET", "/v2/app/manifests/release").status == 200
        age(registry)
        assert collect(registry).removed == 1, "layer 1; layer 0 is the release's"


def test_the_servers_own_round(tmp_path):
    with serving(tmp_path, anonymous_push=True, upload_seconds=0) as registry:
        registry.put_blob("a", b"x")
        where = registry.call("POST", "/v2/a/blobs/uploads/").headers["location"]
        registry.store.catalog.pulled([], 0)
        age(registry)
        result = registry.run(registry.service.upkeep.once())
        assert result.removed == 1
        assert registry.call("GET", where).status == 404, "uploads expire"
