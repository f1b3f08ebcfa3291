import pytest

from scow.errors import InvalidArgument
from scow.registry.resolver import Endpoint, certificates, endpoints, folder_of, is_insecure, proxy_for
from scow.registry.settings import Settings


def _bases(settings: Settings, domain: str, push: bool = False) -> list[str]:
    return [one.base for one in endpoints(settings, domain, push)]


def test_plain_http_only_where_allowed(tmp_path) -> None:
    settings = Settings(insecure=("10.0.0.0/8", "reg.local:5000", "http://other.local"), folders=(tmp_path,))
    assert _bases(settings, "r.example") == ["https://r.example"]
    for host in ("127.0.0.1:5000", "localhost", "[::1]:5000", "10.1.2.3:80", "reg.local:5000", "other.local"):
        assert is_insecure(settings, host), host
        assert _bases(settings, host) == [f"https://{host}", f"http://{host}"]
    for host in ("reg.local", "reg.local:5001", "11.0.0.1", "localhost.example"):
        assert not is_insecure(settings, host), host


def test_mirrors_are_for_the_hub_and_never_pushed_to(tmp_path) -> None:
    settings = Settings(mirrors=("https://mirror.example", "nonsense", "https://a:b@leak"), folders=(tmp_path,))
    assert _bases(settings, "docker.io") == ["https://mirror.example", "https://registry-1.docker.io"]
    assert _bases(settings, "docker.io", push=True) == ["https://registry-1.docker.io"]
    assert _bases(settings, "r.example") == ["https://r.example"]


def test_certs_d(tmp_path) -> None:
    folder = tmp_path / "r.example:5000"
    folder.mkdir()
    for name in ("ca.crt", "client.cert", "client.key"):
        (folder / name).write_text("x")
    settings = Settings(folders=(tmp_path / "none", tmp_path))
    [found] = endpoints(settings, "r.example:5000")
    assert found.ca == (str(folder / "ca.crt"),)
    assert found.certs == ((str(folder / "client.cert"), str(folder / "client.key")),)
    (folder / "client.key").unlink()
    with pytest.raises(InvalidArgument, match=r"missing key client\.key"):
        certificates(folder)
    assert folder_of(settings, "../r.example:5000") is None
    assert folder_of(settings, "..") is None


def test_hosts_toml(tmp_path) -> None:
    folder = tmp_path / "r.example"
    folder.mkdir()
    (folder / "hosts.toml").write_text(
        """
server = "https://r.example"
[host."https://mirror.example/v2/cache"]
  capabilities = ["pull", "resolve"]
  override_path = true
  skip_verify = true
  [host."https://mirror.example/v2/cache".header]
    x-one = ["a"]
"""
    )
    settings = Settings(folders=(tmp_path,))
    mirror, own = endpoints(settings, "r.example")
    assert mirror.url("x/manifests/1") == "https://mirror.example/v2/cache/x/manifests/1"
    assert (mirror.mirror, mirror.verify, mirror.headers, mirror.namespace) == (True, False, (("x-one", "a"),), "r.example")
    assert own == Endpoint("https://r.example")
    assert _bases(settings, "r.example", push=True) == ["https://r.example"]
    (folder / "hosts.toml").write_text("[[[")
    assert _bases(settings, "r.example") == ["https://r.example"]


@pytest.mark.parametrize(
    ("no_proxy", "url", "used"),
    [
        ("", "https://r.example/v2/", True),
        ("", "https://127.0.0.1:5000/v2/", False),
        ("r.example", "https://r.example/v2/", False),
        ("example", "https://r.example/v2/", False),
        (".example", "https://r.example/v2/", False),
        (".r.example", "https://r.example/v2/", True),
        ("*", "https://r.example/v2/", False),
        ("10.0.0.0/8", "https://10.2.3.4/v2/", False),
        ("r.example:5000", "https://r.example/v2/", True),
        ("r.example:443", "https://r.example/v2/", False),
        ("ample", "https://r.example/v2/", True),
    ],
)
def test_proxies(no_proxy: str, url: str, used: bool) -> None:
    settings = Settings(https_proxy="proxy:3128", no_proxy=no_proxy)
    assert proxy_for(settings, url) == ("http://proxy:3128" if used else "")
    assert proxy_for(settings, url.replace("https", "http")) == ""
