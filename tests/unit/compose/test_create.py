"""Requests for containers."""

from scow.compose import create
from scow.compose.model.project import Project
from scow.compose.model.service import BindOptions, Mount, Service


def test_the_hash_is_without_the_modes_of_shared_volumes() -> None:
    """The plugin loses them; the request has them."""
    ids = {"base": "abc"}
    plain, readonly = (
        Service(name="a", image="x", volumes_from=(text, "container:other" + mode)) for text, mode in (("base", ""), ("base:ro", ":ro"))
    )
    assert create.digest(plain, ids) == create.digest(readonly, ids) != create.digest(plain, {"base": "def"})
    assert create.resolved(readonly, ids).volumes_from == ("abc:ro", "other:ro")


def test_only_short_binds_make_their_source() -> None:
    """What is written long and names no `create_host_path` must be there, as for the plugin."""
    volumes = tuple(
        Mount(type="bind", source="/src", target=target, bind=bind)
        for target, bind in (("/long", None), ("/said", BindOptions()), ("/short", BindOptions(create_host_path=True)))
    )
    made = create.container(Project(name="p"), Service(name="a", image="x", volumes=volumes), create.Want())
    assert made["HostConfig"]["Binds"] == ["/src:/short:rw"]
    assert [one["Target"] for one in made["HostConfig"]["Mounts"]] == ["/long", "/said"]
