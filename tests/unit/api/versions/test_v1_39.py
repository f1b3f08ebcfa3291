"""/info without product and warnings."""

from scow.api.versions import v1_39


def test_info():
    assert v1_39.DOWN["info"]({"ProductLicense": "", "Warnings": [], "ID": "x"}) == {"ID": "x"}
