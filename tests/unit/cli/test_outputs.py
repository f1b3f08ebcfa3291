"""What images, df, events, stats, networks and inspect print."""

import pytest

from scow.cli.commands.container.stats import cpu_percent, memory_used, row
from scow.cli.commands.image.ls import names_of, platform_json, rows_of
from scow.cli.commands.network.create import pools
from scow.cli.commands.network.ls import natural
from scow.cli.commands.system.df import summary, verbose
from scow.cli.commands.system.events import line_of
from scow.cli.times import api_timestamp
from scow.errors import InvalidArgument


def test_images():
    image = {
        "Id": "sha256:" + "a" * 64,
        "RepoTags": ["h:5/a:1", "h:5/a:2"],
        "RepoDigests": ["h:5/a@sha256:x", "b@sha256:y"],
        "Size": 1_984_321,
    }
    assert names_of(image, False) == [("h:5/a", "1", "<none>"), ("h:5/a", "2", "<none>"), ("b", "<none>", "<none>")]
    assert names_of(image, True)[0] == ("h:5/a", "1", "sha256:x")
    assert names_of({"RepoTags": ["<none>:<none>"], "RepoDigests": None}, False) == [("<none>", "<none>", "<none>")]
    assert rows_of(image, False, True, 0)[0]["ID"] == "a" * 12 and rows_of(image, False, False, 0)[0]["Size"] == "1.98MB"
    assert platform_json("linux/arm64/v8") == '{"os":"linux","architecture":"arm64","variant":"v8"}'


def test_df():
    usage = {
        "LayersSize": 1000,
        "Images": [
            {"Id": "x", "Size": 600, "SharedSize": 100, "Containers": 1},
            {"Id": "y", "Size": 500, "SharedSize": 0, "Containers": 0},
        ],
        "Containers": [{"Id": "c" * 64, "State": "running", "SizeRw": 10}, {"Id": "d" * 64, "State": "exited", "SizeRw": 30}],
        "Volumes": [{"Name": "v", "UsageData": {"Size": 5, "RefCount": 0}}],
        "BuildCache": None,
    }
    rows = [[row[key] for key in ("Type", "TotalCount", "Active", "Size", "Reclaimable")] for row in summary(usage)]
    assert rows == [
        ["Images", "2", "1", "1kB", "500B (50%)"],
        ["Containers", "2", "1", "40B", "30B (75%)"],
        ["Local Volumes", "1", "0", "5B", "5B (100%)"],
        ["Build Cache", "0", "0", "0B", "0B"],
    ]
    assert "Local Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\nv             0         5B\n" in verbose(usage)


def test_events(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    event = {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "x", "Attributes": {"name": "n", "exitCode": "0"}},
        "timeNano": 1_700_000_000_000_000_001,
    }
    assert line_of(event) == "2023-11-14T22:13:20.000000001Z container die x (exitCode=0, name=n)"


def test_stats():
    sample = {
        "id": "a" * 64,
        "name": "/web",
        "cpu_stats": {"cpu_usage": {"total_usage": 200}, "system_cpu_usage": 1000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 500},
        "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 5}},
        "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
        "pids_stats": {"current": 3},
    }
    assert cpu_percent(sample) == 40.0 and memory_used(sample["memory_stats"]) == 2 << 20
    found = row("web", sample, True)
    assert [found[key] for key in ("Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "PIDs")] == [
        "web",
        "40.00%",
        "2MiB / 8MiB",
        "25.00%",
        "1kB / 5B",
        "3",
    ]
    assert row("gone", None, True)["CPUPerc"] == "--"


def test_networks():
    assert sorted(["net10", "net2", "net1"], key=natural) == ["net1", "net2", "net10"]
    assert pools(["10.0.0.0/8", "fd00::/64"], ["10.1.0.0/16"], ["fd00::1", "10.0.0.1"], {"r": "10.0.0.9"}) == [
        {"Subnet": "10.0.0.0/8", "IPRange": "10.1.0.0/16", "Gateway": "10.0.0.1", "AuxiliaryAddresses": {"r": "10.0.0.9"}},
        {"Subnet": "fd00::/64", "Gateway": "fd00::1"},
    ]
    for bad in ((["x"], [], []), (["10.0.0.0/8", "10.1.0.0/16"], [], []), (["10.0.0.0/8"], [], ["11.0.0.1"]), ([], [], ["1.2.3.4"])):
        with pytest.raises(InvalidArgument):
            pools(*bad, {})


def test_timestamps():
    assert api_timestamp("") is None and api_timestamp("12.5") == "12.5" and api_timestamp("2024-01-01T00:00:00Z") == "1704067200.000000000"
    with pytest.raises(InvalidArgument):
        api_timestamp("yesterday")
