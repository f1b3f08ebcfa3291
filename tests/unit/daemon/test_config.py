import json

import pytest

from scow.daemon import config
from scow.daemon.options import Options
from scow.daemon.reload import Reloader
from scow.errors import InvalidArgument


def test_flags_in_all_forms():
    line = config.parse_args(
        ["-H", "unix:///a", "--host=tcp://h:1", "-D", "--live-restore=false", "--log-opt", "max-size=1m", "--default-ulimit=nofile=1:2"]
    )
    assert line.values["hosts"] == ("unix:///a", "tcp://h:1")
    assert line.values["debug"] is True
    assert line.values["live_restore"] is False
    assert line.values["log_opts"] == {"max-size": "1m"}
    assert line.values["default_ulimits"] == {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}


@pytest.mark.parametrize(
    "argv", [["--nonsense"], ["-Z"], ["word"], ["--bip"], ["--mtu=x"], ["--debug=maybe"], ["--log-opt=x"], ["--default-address-pool=x"]]
)
def test_wrong_command_lines(argv):
    with pytest.raises(config.UsageError):
        config.parse_args(argv)


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def test_file_and_flags_together(tmp_path):
    path = write(tmp_path / "c.json", {"labels": ["a=b"], "log-level": "warn", "runtimes": {"x": {"path": "/x"}}})
    options = config.load({"config_file": path, "debug": True, "runtimes": {"y": {"path": "/y"}}})
    assert options.labels == ("a=b",)
    assert options.level == "debug"
    assert set(options.runtimes) == {"x", "y"}


def test_same_key_in_both(tmp_path):
    path = write(tmp_path / "c.json", {"log-level": "warn"})
    with pytest.raises(
        InvalidArgument, match=r"both as a flag and in the configuration file: log-level: \(from flag: info, from file: warn\)"
    ):
        config.load({"config_file": path, "log_level": "info"})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"nonsense": 1}',
        '{"debug": "yes"}',
        '{"bip": "x"}',
        '{"hosts": ["ftp://x"]}',
        '{"hosts": ["tcp://1.2.3.4:5"]}',
        '{"log-level": "loud"}',
        '{"dns": ["x"]}',
        '{"dns": "x"}',
        '{"runtimes": {"x": 5}}',
        '{"runtimes": {"x": {"path": 5}}}',
        '{"runtimes": {"x": {"path": "/x", "runtimeArgs": 5}}}',
        '{"default-ulimits": {"nofile": 5}}',
        '{"default-ulimits": {"nofile": {"Soft": "x"}}}',
        '{"default-address-pools": [{"base": "10.0.0.0/8", "size": "x"}]}',
        '{"default-address-pools": [{"base": "10.0.0.0/8", "size": 4}]}',
        '{"default-shm-size": "much"}',
        '{"default-shm-size": []}',
        '{"shutdown-timeout": 1.5}',
        '{"storage-driver": "btrfs"}',
        '{"publish-policy": "bogus"}',
        '{"bip6": "nonsense"}',
        '{"fixed-cidr-v6": "10.0.0.0/8"}',
        '{"exec-opts": ["native.cgroupdriver=systemd"]}',
        '{"log-opts": []}',
        '{"proxies": {"nonsense": 1}}',
    ],
)
def test_wrong_files(tmp_path, text):
    with pytest.raises(InvalidArgument):
        config.load({"config_file": write(tmp_path / "c.json", text)})


def test_unsupported_options_are_named():
    assert config.unsupported(Options(userns_remap="default", debug=True)) == ["userns-remap"]


def test_reload_is_all_or_nothing(tmp_path):
    path = write(tmp_path / "c.json", {"debug": False})
    seen = []

    def picky(options):
        seen.append(options.shutdown_timeout)
        if options.shutdown_timeout == 3:
            raise RuntimeError("no")

    flags = {"config_file": path}
    reloader = Reloader(config.load(flags), flags, {"picky": picky})
    write(tmp_path / "c.json", {"shutdown-timeout": 3})
    assert not reloader.reload()
    assert seen == [3, 15]
    write(tmp_path / "c.json", {"shutdown-timeout": 4, "bip": "10.0.0.1/24"})
    assert reloader.reload()
    assert reloader.options.shutdown_timeout == 4
    assert reloader.options.bip == ""
    write(tmp_path / "c.json", "{")
    assert not reloader.reload()
    assert reloader.options.shutdown_timeout == 4
