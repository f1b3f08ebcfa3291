"""docker-py, used as its documentation shows."""

import io
import json
import tarfile
import time
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

from tests.support.engine import Engine, until


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    found = docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=120)
    yield found
    found.close()


def test_the_engine(client: docker.DockerClient) -> None:
    assert client.ping() is True
    assert client.version()["ApiVersion"] == "1.51"
    assert client.info()["Images"] == 1
    assert client.df()["Containers"] == []


def test_run_returns_the_output(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", "echo hello world", remove=True) == b"hello world\n"
    assert client.containers.run("busybox", ["sh", "-c", "echo e >&2"], stderr=True, remove=True) == b"e\n"
    with pytest.raises(ContainerError) as failed:
        client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 2"], remove=True)
    assert failed.value.exit_status == 2 and failed.value.stderr == b"bad\n"
    lines = client.containers.run("busybox", ["sh", "-c", "echo one; echo two"], stream=True, remove=True)
    assert b"".join(lines) == b"one\ntwo\n"
    assert client.containers.list(all=True) == []


def test_a_detached_container(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, name="py", labels={"a": "b"}, environment=["X=1"])
    assert container.status == "created"
    container.reload()
    assert (container.status, container.name, container.image.tags) == ("running", "py", ["busybox:latest"])
    assert [found.id for found in client.containers.list(filters={"label": "a=b"})] == [container.id]
    assert client.containers.get("py") == container
    assert container.top()["Titles"][0] == "UID"
    container.pause()
    container.unpause()
    container.rename("py2")
    container.update(mem_limit="64m", memswap_limit="64m")
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 64 << 20 and container.name == "py2"
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["limit"] == 64 << 20 and "cpu_stats" in stats
    stream = container.stats(decode=True)
    first, second = next(stream), next(stream)
    assert first["id"] == second["id"] == container.id and first["read"] < second["read"]
    container.kill()
    assert container.wait() == {"StatusCode": 137}
    container.restart(timeout=0)
    container.stop(timeout=0)
    with pytest.raises(APIError, match="is not running"):
        container.kill()
    container.remove()
    with pytest.raises(NotFound):
        client.containers.get("py2")


def test_exec(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True)
    assert container.exec_run("sh -c 'echo out; echo err >&2; exit 5'", demux=True) == (5, (b"out\n", b"err\n"))
    assert container.exec_run(["sh", "-c", "echo $A; pwd; id -u"], environment={"A": "b"}, workdir="/tmp", user="nobody").output == (
        b"b\n/tmp\n65534\n"
    )
    assert b"".join(container.exec_run(["sh", "-c", "echo one; echo two"], stream=True).output) == b"one\ntwo\n"
    handle = client.api.exec_create(container.id, ["cat"], stdin=True)
    sock = client.api.exec_start(handle, socket=True)
    sock._sock.sendall(b"through\n")
    sock._sock.shutdown(1)
    data = b""
    while piece := sock._sock.recv(4096):
        data += piece
    assert data == b"\x01\0\0\0\0\0\0\x08through\n"
    sock.close()
    assert until(lambda: client.api.exec_inspect(handle)["ExitCode"] is not None) and client.api.exec_inspect(handle)["ExitCode"] == 0
    container.remove(force=True)


def test_attach_and_logs(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "read x; echo got $x; echo err >&2"], stdin_open=True)
    output = container.attach(stream=True, logs=True, demux=True)
    sock = container.attach_socket(params={"stdin": 1, "stream": 1})
    container.start()
    sock._sock.sendall(b"word\n")
    found = list(output)
    assert b"".join(out for out, _ in found if out) == b"got word\n" and b"".join(err for _, err in found if err) == b"err\n"
    sock.close()
    assert container.wait()["StatusCode"] == 0
    assert container.logs(stdout=True, stderr=False) == b"got word\n"
    assert container.logs(stdout=True, stderr=False, timestamps=True).endswith(b"Z got word\n")
    assert b"".join(container.logs(stream=True, follow=True, stderr=False)) == b"got word\n"
    container.remove()


def test_archives(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["cat", "/srv/a/note"])
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("a/note")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    assert container.put_archive("/home", data.getvalue())
    chunks, stat = container.get_archive("/home/a")
    assert stat["name"] == "a"
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        file = tar.extractfile("a/note")
        assert file is not None and file.read() == b"hello"
    assert {"Path": "/home/a/note", "Kind": 1} in container.diff()
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
        assert "home/a/note" in tar.getnames()
    with pytest.raises(NotFound):
        container.get_archive("/nosuch")
    container.remove()


def test_images(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox")
    made = container.commit(repository="py/made", tag="1", changes=["ENV A=b"], message="m", author="me")
    assert made.tags == ["py/made:1"] and made.attrs["Config"]["Env"] == ["A=b"] and made.history()[0]["Comment"] == "m"
    assert made.tag("py/made", "2")
    data = b"".join(client.images.get("py/made:1").save(named=True))
    client.images.remove("py/made:1")
    client.images.remove("py/made:2")
    with pytest.raises(ImageNotFound):
        client.images.get("py/made:1")
    assert [image.id for image in client.images.load(data)] == [made.id]
    assert [image.id for image in client.images.list(name="py/made")] == [made.id]
    assert client.images.get("busybox").id in [image.id for image in client.images.list()]
    line = json.loads(client.api.import_image_from_data(b"".join(container.export()), repository="py/flat").splitlines()[-1])
    assert client.images.get("py/flat").id == line["status"]
    container.remove()
    for name in ("py/made:1", "py/flat"):
        client.images.remove(name)
    assert client.images.prune()["SpaceReclaimed"] == 0


def test_volumes(client: docker.DockerClient) -> None:
    volume = client.volumes.create("pyvol", labels={"a": "b"})
    client.containers.run("busybox", ["sh", "-c", "echo hi > /d/f"], volumes={"pyvol": {"bind": "/d", "mode": "rw"}}, remove=True)
    assert client.containers.run("busybox", ["cat", "/d/f"], volumes=["pyvol:/d:ro"], remove=True) == b"hi\n"
    assert [found.name for found in client.volumes.list(filters={"label": "a=b"})] == ["pyvol"]
    assert client.volumes.get("pyvol").attrs["Driver"] == "local"
    volume.remove()
    with pytest.raises(NotFound):
        client.volumes.get("pyvol")


def test_networks(client: docker.DockerClient) -> None:
    pool = docker.types.IPAMPool(subnet="10.78.0.0/24", gateway="10.78.0.1")
    network = client.networks.create("pynet", driver="bridge", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"a": "b"})
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, name="member", network="pynet")
    network.reload()
    assert [found.name for found in network.containers] == ["member"]
    address = client.containers.run("busybox", ["sh", "-c", "nslookup member 2>&1 || true"], network="pynet", remove=True)
    assert b"10.78.0." in address
    client.networks.get("bridge").connect(container)
    container.reload()
    assert set(container.attrs["NetworkSettings"]["Networks"]) == {"bridge", "pynet"}
    network.disconnect(container)
    network.remove()
    container.remove(force=True)
    assert client.networks.list(names=["pynet"]) == []


def test_events(client: docker.DockerClient) -> None:
    began = time.time()
    container = client.containers.run("busybox", ["true"], detach=True)
    container.wait()
    container.remove()
    events = client.events(since=began - 1, until=time.time() + 1, decode=True, filters={"container": container.id})
    assert [event["Action"] for event in events] == ["create", "start", "die", "destroy"]


def test_health(client: docker.DockerClient) -> None:
    check = docker.types.Healthcheck(test=["CMD", "true"], interval=100_000_000)
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, healthcheck=check)

    def healthy() -> bool:
        container.reload()
        return bool(container.health == "healthy")

    until(healthy, what="health")
    container.remove(force=True)
