"""The image list without manifests."""

from scow.api.versions import v1_47


def test_images():
    assert v1_47.DOWN["image.list"]([{"Manifests": [], "Id": "x"}]) == [{"Id": "x"}]
