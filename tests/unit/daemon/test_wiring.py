import pytest

from scow.daemon import wiring
from scow.daemon.options import Options
from scow.errors import InvalidArgument


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH with a crun and a runc of our own, and nothing else."""
    for name in ("crun", "runc", "extra"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(wiring, "_SEARCH", str(tmp_path))
    return tmp_path


def test_runtimes(programs):
    options = Options(
        runtimes={"mine": {"path": "extra", "runtimeArgs": ["--debug", 5]}, "runc": {"path": "/opt/runc"}}, default_runtime="mine"
    )
    found = wiring.runtimes(options)
    assert (found["crun"].path, found["mine"].path, found["runc"].path) == (f"{programs}/crun", f"{programs}/extra", "/opt/runc")
    assert found["mine"].args == ("--debug", "5")


def test_runc_stands_in_for_crun_and_nothing_for_others(programs):
    (programs / "crun").unlink()
    found = wiring.runtimes(Options())
    assert found["crun"].path == f"{programs}/runc"
    with pytest.raises(InvalidArgument, match="default runtime 'mystery' does not exist"):
        wiring.runtimes(Options(default_runtime="mystery"))


def test_network_options():
    found = wiring.network_options(Options(default_address_pools=({"base": "10.0.0.0/8", "size": 24},), ip="0.0.0.0"))
    assert (found.bridge, found.mtu, found.ip, found.default_address_pools) == ("scow0", 1500, "", (("10.0.0.0/8", 24),))
    assert wiring.network_options(Options(bridge="br9", ip="1.2.3.4")).ip == "1.2.3.4"


def test_defaults_of_containers():
    options = Options(
        default_ulimits={"nofile": {"Soft": 1, "Hard": 2}}, log_driver="local", log_opts={"max-size": "1m"}, shutdown_timeout=3
    )
    found = wiring.defaults(options, frozenset({"crun"}))
    assert [(limit.name, limit.soft, limit.hard) for limit in found.ulimits] == [("nofile", 1, 2)]
    assert (found.log.type, found.log.config, found.runtimes, found.shutdown_timeout) == (
        "local",
        {"max-size": "1m"},
        frozenset({"crun"}),
        3,
    )


def test_the_file_system_below_a_path():
    assert wiring._filesystem("/proc/self") == "proc"
    assert wiring._filesystem("/nowhere/at/all") == wiring._filesystem("/")


def test_defaults_that_would_fail_every_container(tmp_path):
    wiring.check(Options())
    wiring.check(Options(seccomp_profile="unconfined", log_driver="local", log_opts={"max-size": "1m"}))
    with pytest.raises(InvalidArgument, match="nonsense"):
        wiring.check(Options(log_driver="nonsense"))
    with pytest.raises(InvalidArgument, match="unknown log opt 'x'"):
        wiring.check(Options(log_opts={"x": "y"}))
    with pytest.raises(InvalidArgument, match="opening seccomp profile"):
        wiring.check(Options(seccomp_profile="/nowhere"))
    (tmp_path / "p").write_text("{")
    with pytest.raises(InvalidArgument):
        wiring.check(Options(seccomp_profile=str(tmp_path / "p")))
