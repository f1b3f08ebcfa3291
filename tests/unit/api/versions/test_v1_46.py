"""/info without containerd."""

from scow.api.versions import v1_46


def test_info():
    assert v1_46.DOWN["info"]({"Containerd": {}, "ID": "x"}) == {"ID": "x"}
