"""The small steps: keys are met however they are spelled, odd shapes pass."""

from scow.api.versions._tools import child, default, drop, endpoints, held, objects, without


def test_keys_without_regard_to_case():
    body = {"hostconfig": {"ipcmode": "", "IpcMode": "x"}}
    assert child(body, "HostConfig") is body["hostconfig"]
    assert held(body, "HostConfig") is body["hostconfig"]
    drop(body["hostconfig"], "IPCMODE")
    assert body == {"hostconfig": {}}
    default(body, "Name", "n")
    default(body, "NAME", "m")
    assert body["Name"] == "n"


def test_odd_shapes():
    assert child({"a": 5}, "a", "b") == {}
    assert held({"a": 5}, "a") == {}
    body = {"a": None}
    held(body, "A")["x"] = 1
    assert body == {"a": {"x": 1}}
    assert list(objects("x")) == []
    assert list(objects([1, {}])) == [{}]
    assert list(endpoints({"NetworkSettings": {"Networks": {"n": 5}}})) == []
    assert without("a")(None) is None
