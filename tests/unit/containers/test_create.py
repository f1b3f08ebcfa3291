"""Creation: what comes from the image. The whole way is in test_service."""

from typing import Any

import pytest

from scow.containers.create import image_config, platform_warnings
from tests.fakes.engine import FakeImage


def test_an_image_does_not_give_everything() -> None:
    image: Any = FakeImage("i", {"Cmd": ["x"], "Hostname": "build", "Tty": True, "Image": "other"})
    config = image_config(image)
    assert (config.cmd, config.hostname, config.tty, config.image) == (["x"], "", False, "")


@pytest.mark.parametrize(
    ("arch", "asked", "warned"),
    [
        ("amd64", "", False),
        ("arm64", "", True),
        ("amd64", "linux/amd64", False),
        ("amd64", "linux/arm64", True),
        ("", "", False),
        ("arm64", "arm64", False),
    ],
)
def test_another_platform_is_a_warning(arch: str, asked: str, warned: bool) -> None:
    image: Any = FakeImage("i", {}, {"os": "linux"}, arch)
    assert bool(platform_warnings(image, asked, "amd64")) is warned
