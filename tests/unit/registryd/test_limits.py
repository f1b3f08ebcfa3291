"""Token buckets, metrics, options: small and pure."""

import pytest

from scow.errors import InvalidArgument
from scow.registryd.limits import Buckets
from scow.registryd.metrics import Metrics
from scow.registryd.options import Upstream, parse_address, parse_upstream


def test_buckets():
    now = [100.0]
    buckets = Buckets(2, 4, lambda: now[0])
    for _ in range(4):
        assert buckets.wait("a") == 0
        buckets.take("a")
    assert buckets.wait("a") == pytest.approx(0.5)
    assert buckets.wait("b") == 0
    now[0] += 0.5
    assert buckets.wait("a") == 0
    now[0] += 100
    for _ in range(4):
        buckets.take("a")
    assert buckets.wait("a") > 0
    free = Buckets(0, 0)
    free.take("a")
    assert free.wait("a") == 0


def test_metrics():
    metrics = Metrics()
    metrics.add("requests_total", endpoint="blob", method="GET", status="200")
    metrics.add("sent_bytes_total", 12345678901)
    text = metrics.text([("blobs", "How many blobs there are.", 3.0)]).decode()
    assert 'scow_registry_requests_total{endpoint="blob",method="GET",status="200"} 1\n' in text
    assert "scow_registry_sent_bytes_total 12345678901\n" in text
    assert "# TYPE scow_registry_blobs gauge\nscow_registry_blobs 3\n" in text
    assert metrics.value("sent_bytes_total") == 12345678901


@pytest.mark.parametrize(
    ("text", "expected"), [("127.0.0.1:5000", ("127.0.0.1", 5000)), (":80", ("", 80)), ("[::1]:1", ("::1", 1)), ("5000", ("", 5000))]
)
def test_addresses(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "a", "a:b", "a:99999", "a:-1"])
def test_addresses_that_are_none(text):
    with pytest.raises(InvalidArgument):
        parse_address(text)


def test_upstreams():
    assert parse_upstream("docker.io") == Upstream("docker.io", "docker.io")
    assert parse_upstream("lab=10.0.0.5:5000") == Upstream("lab", "10.0.0.5:5000")
    for text in ("", "a=", "=b", "A=b", "a=b/c", "10.0.0.5:5000"):
        with pytest.raises(InvalidArgument):
            parse_upstream(text)
