from pathlib import Path

from scow.kernel import namespaces


def test_what_is_not_mounted_is_not_pinned_and_unpins_quietly(tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    assert not namespaces.is_pinned(pin)
    pin.touch()
    assert not namespaces.is_pinned(pin)
    namespaces.unpin(pin)
    namespaces.unpin(pin)
    assert not pin.exists()
