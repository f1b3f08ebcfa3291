"""IPC was shareable; no device requests, no non-recursive binds."""

from scow.api.versions import v1_40


def test_create():
    body = {"HostConfig": {"DeviceRequests": [{}], "Mounts": [{"BindOptions": {"NonRecursive": True, "Propagation": "private"}}, None]}}
    host = v1_40.UP["container.create"](body)["HostConfig"]
    assert host == {"IpcMode": "shareable", "Mounts": [{"BindOptions": {"Propagation": "private"}}, None]}
    assert v1_40.UP["container.create"]({"HostConfig": {"IpcMode": "private"}})["HostConfig"]["IpcMode"] == "private"


def test_inspect():
    assert v1_40.DOWN["container.inspect"]({"HostConfig": {"DeviceRequests": None}}) == {"HostConfig": {}}
