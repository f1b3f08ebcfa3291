"""A client of 1.24 removes its containers itself."""

from scow.api.versions import v1_25


def test_auto_remove_is_the_clients_own_work():
    body = {"HostConfig": {"autoremove": True, "Memory": 1}}
    assert v1_25.UP["container.create"](body) == {"HostConfig": {"Memory": 1}}
