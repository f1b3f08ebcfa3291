"""Creation: what comes from the image. The whole way is in test_service."""

from typing import Any

import pytest

from scow.containers.create import check_platform, image_config, platform_warnings
from scow.errors import NotFound
from tests.fakes.engine import FakeImage


def test_an_image_does_not_give_everything() -> None:
    image: Any = FakeImage("i", {"Cmd": ["x"], "Hostname": "build", "Tty": True, "Image": "other"})
    config = image_config(image)
    assert (config.cmd, config.hostname, config.tty, config.image) == (["x"], "", False, "")


@pytest.mark.parametrize(("arch", "warned"), [("amd64", False), ("arm64", True), ("", False)])
def test_another_architecture_than_the_hosts_is_a_warning(arch: str, warned: bool) -> None:
    image: Any = FakeImage("i", {}, {"os": "linux"}, arch)
    assert bool(platform_warnings(image, "amd64")) is warned


@pytest.mark.parametrize("asked", ["", "linux", "linux/amd64", "amd64"])
def test_the_platform_asked_for_is_there(asked: str) -> None:
    image: Any = FakeImage("i", {}, {"os": "linux"}, "amd64")
    check_platform(image, asked, "box", "amd64")


def test_another_platform_than_asked_for_is_no_such_image() -> None:
    image: Any = FakeImage("i", {}, {"os": "linux"}, "amd64")
    with pytest.raises(NotFound, match="image with reference box was found but does not match the specified platform: wanted linux/arm64"):
        check_platform(image, "linux/arm64", "box", "amd64")
