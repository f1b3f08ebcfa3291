"""Choosing containers by filters."""

import json
from types import SimpleNamespace

import pytest

from scow.containers.container import Container
from scow.containers.lifecycle import Health, State, Status
from scow.containers.listing import ACCEPTED, Listing, ListQuery
from scow.containers.view import View
from scow.errors import InvalidArgument, NotFound
from scow.filters import Filters
from scow.model.container import ContainerConfig
from scow.model.network import EndpointSettings
from scow.network.endpoint import NetworkView
from scow.volumes.mounts import MountPoint
from tests.unit.containers.test_view import Images, Networks, made


class Store:
    def __init__(self, containers: list[Container]) -> None:
        self.containers = containers

    def all(self) -> list[Container]:
        return sorted(self.containers, key=lambda c: c.created_ns, reverse=True)

    def get(self, ref: str) -> Container:
        for one in self.containers:
            if ref in (one.id, one.name):
                return one
        raise NotFound(f"No such container: {ref}")

    def extra_names(self) -> dict[str, list[str]]:
        return {}


class ImageStore:
    known = {
        "busybox": SimpleNamespace(id="sha256:" + "1" * 64, diff_ids=["a"]),
        "child": SimpleNamespace(id="sha256:" + "2" * 64, diff_ids=["a", "b"]),
    }

    def get(self, ref: str) -> SimpleNamespace:
        for name, image in self.known.items():
            if ref in (name, image.id):
                return image
        raise NotFound(f"No such image: {ref}")

    def leads_to(self, ref: str, id: str) -> bool:
        return self.get(ref).id == id


@pytest.fixture
def listing() -> Listing:
    one = made("one", State(status=Status.RUNNING, pid=3, started_ns=5, health=Health("healthy")))
    one.config = ContainerConfig(labels={"role": "web", "empty": ""}, exposed_ports={"90/tcp": {}})
    two = made(
        "two", State(status=Status.PAUSED, pid=4, started_ns=5), mounts=(MountPoint(type="volume", name="vol", destination="/data"),)
    )
    two.config = ContainerConfig(labels={"role": "db"})
    done = made("done", State(status=Status.EXITED, exit_code=3, started_ns=5, finished_ns=6), networks={"host": EndpointSettings()})
    done.image_id = "sha256:" + "2" * 64
    new = made("new")
    containers = [one, two, done, new]
    for number, box in enumerate(containers):
        box.created_ns = number + 1
    networks = Networks()
    networks.views[two.id] = NetworkView(ports={"53/udp": [{"HostIp": "0.0.0.0", "HostPort": "5353"}], "80/tcp": None})
    return Listing(Store(containers), ImageStore(), View(networks, Images(), clock=lambda: 10))


def chosen(listing: Listing, all: bool = True, limit: int = 0, **filters: list[str]) -> str:
    given = Filters.parse(json.dumps({key.replace("_", "-"): values for key, values in filters.items()}), ACCEPTED)
    return " ".join(box.name for box in listing.select(ListQuery(all=all, limit=limit, filters=given)))


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, "new done two one"),
        ({"status": ["running"]}, "one"),
        ({"status": ["exited", "created"]}, "new done"),
        ({"exited": ["3"]}, "done"),
        ({"exited": ["0"]}, ""),
        ({"label": ["role"]}, "two one"),
        ({"label": ["role=db", "role=web"]}, ""),
        ({"name": ["^/one$"]}, "one"),
        ({"name": ["(one|done)$"]}, "done one"),
        ({"ancestor": ["busybox"]}, "new done two one"),
        ({"ancestor": ["child"]}, "done"),
        ({"ancestor": ["none-such"]}, ""),
        ({"volume": ["/data"]}, "two"),
        ({"volume": ["vol"]}, "two"),
        ({"expose": ["90"]}, "one"),
        ({"publish": ["5350-5360/udp"]}, "two"),
        ({"publish": ["53/udp"]}, ""),
        ({"network": ["host"]}, "done"),
        ({"network": ["nnnn"]}, "new two one"),
        ({"is_task": ["true"]}, ""),
        ({"health": ["none"]}, "new done two"),
        ({"health": ["healthy"]}, "one"),
        ({"before": ["done"]}, "two one"),
        ({"since": ["two"]}, "new done"),
        ({"since": ["one"], "before": ["new"]}, "done two"),
    ],
)
def test_filter(listing: Listing, filters: dict[str, list[str]], names: str) -> None:
    assert chosen(listing, **filters) == names


def test_only_running_ones_without_all_and_the_newest_with_a_limit(listing: Listing) -> None:
    assert chosen(listing, all=False) == "two one"
    assert chosen(listing, all=False, limit=3) == "new done two"
    assert chosen(listing, all=False, status=["exited"]) == "done"


@pytest.mark.parametrize(
    "filters",
    [
        {"nonsense": ["1"]},
        {"status": ["x"]},
        {"exited": ["x"]},
        {"health": ["x"]},
        {"publish": ["80:80"]},
        {"expose": ["x"]},
        {"is_task": ["x"]},
        {"name": ["("]},
    ],
)
def test_bad_filter(listing: Listing, filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidArgument):
        chosen(listing, **filters)


def test_before_an_unknown_container(listing: Listing) -> None:
    with pytest.raises(NotFound, match="No such container: nobody"):
        chosen(listing, before=["nobody"])


def test_image_shows_as_id_when_its_name_leads_elsewhere(listing: Listing) -> None:
    rows = {row["Names"][0]: row["Image"] for row in json.loads(listing.encoded(ListQuery(all=True)))}
    assert rows == {"/one": "busybox", "/two": "busybox", "/new": "busybox", "/done": "sha256:" + "2" * 64}
