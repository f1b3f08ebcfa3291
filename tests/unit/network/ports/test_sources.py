import pytest

from scow.errors import InvalidArgument
from scow.network.ports import sources


def test_labels_and_driver_options_by_port() -> None:
    found = sources.read(
        {"scow.publish.sources": "10.0.0.0/8, 192.0.2.1", "other": "x"},
        {"scow.publish.sources.80": "fd00::/8"},
        {"scow.publish.sources.53/UDP": "::/0"},
    )
    assert found == {"": ("10.0.0.0/8", "192.0.2.1/32"), "80/tcp": ("fd00::/8",), "53/udp": ("::/0",)}


@pytest.mark.parametrize("text", ["", "everybody", "10.0.0.0/33", ",".join(["10.0.0.1"] * 300)])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"scow\.publish\.sources"):
        sources.read({"scow.publish.sources": text})
