"""Requests that become of services."""

import pytest

from scow.compose import contents, create
from scow.compose.project import FileObject, FileUse, Network, Project, Service
from scow.errors import ScowError

NETWORKS = {"default": Network(name="p_default")}


def test_links_give_a_name_of_its_own_the_usual_ones() -> None:
    web = Service(name="web", image="busybox", networks={"default": None}, links=("db:base",))
    project = Project(name="p", services={"web": web, "db": Service(name="db")}, networks=NETWORKS)
    body = create.container(project, web, create.Want(names={"db": ("thedb",)}))
    links = body["NetworkingConfig"]["EndpointsConfig"]["p_default"]["Links"]
    assert links == ["thedb:base", "thedb:db-1", "thedb:p-db-1"]


def test_content_can_not_be_put_into_what_is_read_only() -> None:
    web = Service(name="web", image="busybox", read_only=True, configs=(FileUse(source="one"),))
    project = Project(name="p", services={"web": web}, configs={"one": FileObject(name="one", content="x")})
    with pytest.raises(ScowError, match="service web is read_only: /one must be a secret or config of a file"):
        contents.archive(project, web)
