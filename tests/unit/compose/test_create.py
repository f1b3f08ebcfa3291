"""Requests for containers."""

from scow.compose import create
from scow.compose.project import Service


def test_the_hash_is_without_the_modes_of_shared_volumes() -> None:
    """The plugin loses them; the request has them."""
    ids = {"base": "abc"}
    plain, readonly = (
        Service(name="a", image="x", volumes_from=(text, "container:other" + mode)) for text, mode in (("base", ""), ("base:ro", ":ro"))
    )
    assert create.digest(plain, ids) == create.digest(readonly, ids) != create.digest(plain, {"base": "def"})
    assert create.resolved(readonly, ids).volumes_from == ("abc:ro", "other:ro")
