"""Image configs held the fields of containers."""

from scow.api.versions import v1_50


def test_images():
    config = v1_50.DOWN["image.inspect"]({"Config": {"Image": "base", "Cmd": ["x"]}})["Config"]
    assert config["Image"] == "base"
    assert config["OpenStdin"] is False
    assert config["Cmd"] == ["x"]


def test_info():
    assert "DiscoveredDevices" not in v1_50.DOWN["info"]({"DiscoveredDevices": []})
