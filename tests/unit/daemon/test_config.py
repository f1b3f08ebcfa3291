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


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"mtu": -5}', "invalid default MTU: -5"),
        ('{"mtu": 70000}', "invalid default MTU: 70000"),
        ('{"runtimes": {"x": {}}}', "runtime x: either a runtimeType or a path must be configured"),
        ('{"runtimes": {"a b": {"path": "/x"}}}', "no name of a runtime"),
        ('{"runtimes": {"x": {"path": "/x", "runtimeType": "io.y"}}}', "runtimeType is containerd's"),
        ('{"runtimes": {"x": {"path": "/x", "options": {"a": 1}}}}', "options cannot be used with a path runtime"),
        ('{"runtimes": {"x": {"path": "/x", "rutimeArgs": []}}}', "unknown key 'rutimeArgs'"),
        ('{"default-runtime": "mystery"}', "specified default runtime 'mystery' does not exist"),
        ('{"fixed-cidr": "10.0.0.0"}', "invalid CIDR address for fixed-cidr: 10.0.0.0"),
        ('{"bip": "10.1.0.1/24", "fixed-cidr": "10.2.0.0/25"}', "fixed-cidr 10.2.0.0/25 is not within bip 10.1.0.0/24"),
        ('{"default-gateway": "x"}', "x is not an ip address"),
        ('{"default-gateway": "fd00::1"}', "fd00::1 is no IPv4 address"),
        ('{"dns-search": ["a b"]}', "a b is not a valid domain"),
        ('{"bridge": "a/b"}', "invalid bridge 'a/b'"),
        ('{"labels": ["a=1", "a=2"]}', "conflict labels for a=2 and a=1"),
        ('{"labels": ["=1"]}', "bad attribute format: =1"),
        ('{"max-concurrent-downloads": -1}', "invalid max concurrent downloads: -1"),
        ('{"max-download-attempts": 0}', "invalid max download attempts: 0"),
        ('{"default-ulimits": {"fish": {"Soft": 1, "Hard": 1}}}', "invalid ulimit type: fish"),
        ('{"default-ulimits": {"nofile": {"Soft": 9, "Hard": 5}}}', "ulimit soft limit must be less than or equal to hard limit: 9 > 5"),
        ('{"log-opts": {"max-size": {}}}', "log-opts: max-size: must be a text"),
        ('{"registry-mirrors": ["nonsense"]}', "invalid mirror: 'nonsense'"),
        ('{"registry-mirrors": ["https://u:p@x"]}', "username/password not allowed"),
        ('{"registry-mirrors": ["https://x:port"]}', "is not a valid URI"),
        ('{"insecure-registries": ["a b"]}', "insecure registry a b is not valid"),
        ('{"insecure-registries": ["x:99999"]}', "insecure registry x:99999 is not valid"),
        ('{"insecure-registries": ["10.0.0.0/99"]}', "insecure registry 10.0.0.0/99 is not valid"),
        ('{"default-network-opts": {"bridge": 5}}', "invalid default-network-opts of bridge"),
        (f'{{"default-shm-size": {10**30}}}', "invalid size"),
        (f'{{"shutdown-timeout": {10**30}}}', "cannot unmarshal int into configuration key shutdown-timeout"),
        ('{"default-ulimits": {"nofile": {"Soft": -5, "Hard": -9}}}', "must be an object with numbers for Soft and Hard"),
        ('{"features": {"x": 5}}', "features: x: it is true or false"),
        ('{"cgroup-parent": "/../x"}', "it may not lead upwards"),
        ('{"data-root": "/x\\u0000y"}', "a character that no name or path can hold"),
        ('{"pidfile": "x"}', "pidfile must be an absolute path"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(tmp_path, text, sentence):
    with pytest.raises(InvalidArgument) as caught:
        config.load({"config_file": write(tmp_path / "c.json", text)})
    assert sentence in caught.value.message


def test_what_works_is_taken(tmp_path):
    document = {
        "mtu": 9000,
        "runtimes": {"gvisor": {"path": "/usr/bin/runsc", "runtimeArgs": ["--x"]}},
        "default-runtime": "gvisor",
        "bip": "10.1.0.1/24",
        "fixed-cidr": "10.1.0.128/25",
        "default-gateway": "10.1.0.254",
        "dns": ["1.1.1.1", "fd00::1"],
        "dns-search": [".", "example.com", "_x.y."],
        "labels": ["a=1", "a=1", "b="],
        "registry-mirrors": ["https://mirror.example/path", "http://127.0.0.1:5000"],
        "insecure-registries": ["http://old.example", "x:5000", "[::1]:5000", "10.0.0.0/8", "fd00::/8"],
        "log-opts": {"max-size": "10m", "max-file": 3},
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 5, "Hard": 9}},
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}},
        "features": {"containerd-snapshotter": True},
    }
    assert config.load({"config_file": write(tmp_path / "c.json", document)}).mtu == 9000


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
