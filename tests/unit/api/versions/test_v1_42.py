"""Kernel memory and the size of the build cache were there, console sizes not."""

from scow.api.versions import v1_42


def test_replies():
    assert v1_42.DOWN["container.inspect"]({"HostConfig": {}}) == {"HostConfig": {"KernelMemory": 0, "KernelMemoryTCP": 0}}
    assert v1_42.DOWN["info"]({}) == {"KernelMemory": False, "KernelMemoryTCP": False}
    cache = [{"Size": 2, "Shared": False, "Parents": ["a"]}, {"Size": 3, "Shared": True}]
    assert v1_42.DOWN["system.df"]({"BuildCache": cache}) == {
        "BuilderSize": 2,
        "BuildCache": [{"Size": 2, "Shared": False, "Parent": "a"}, {"Size": 3, "Shared": True, "Parent": ""}],
    }
    assert v1_42.DOWN["system.df"]({"BuildCache": None})["BuilderSize"] == 0


def test_bodies():
    assert v1_42.UP["container.create"]({"HostConfig": {"ConsoleSize": [1, 2]}}) == {"HostConfig": {}}
    assert v1_42.UP["exec.create"]({"consolesize": [1, 2], "Tty": True}) == {"Tty": True}
