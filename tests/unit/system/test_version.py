from scow.system.names import ENGINE_VERSION
from scow.system.version import architecture, version


def test_document():
    found = version("1.51", "1.24", "1.8.1")
    assert (found["ApiVersion"], found["MinAPIVersion"], found["Version"], found["Arch"]) == (
        "1.51",
        "1.24",
        ENGINE_VERSION,
        architecture(),
    )
    assert [part["Name"] for part in found["Components"]] == ["Engine", "scow", "crun"]
    assert len(version("1.51", "1.24")["Components"]) == 2
