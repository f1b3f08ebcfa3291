"""Words of the command line are taken and refused as docker does."""

import pytest

from scow.errors import InvalidArgument
from scow.opts import checks


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.label, ["a=b", "a", " a= b "], ["", "=x", "a b=c"]),
        (checks.variable, ["A=b", "A", "A="], ["", "=x"]),
        (checks.link, ["a", "a:b"], ["", "a:b:c"]),
        (checks.address, ["1.2.3.4", "::1"], ["", "x", "1.2.3"]),
        (checks.domain, ["a.b", ".", "a-b.example."], ["", " ", "a b", "1.2.3.4", "a..b", "x" * 300]),
        (checks.device_rule, ["c 1:3 rwm", "a *:* r"], ["", "x", "c 1 rwm", "c 1:3 q", "c 1:3"]),
        (checks.sysctl, ["net.ipv4.ip_forward=1", "kernel.shmmax=1", "fs.mqueue.x=1"], ["net.x", "kernel.hostname=x", "a=1", "="]),
        (checks.mac, ["02:42:ac:11:00:02", "02-42-ac-11-00-02", "0242.ac11.0002"], ["", "x", "02:42", "zz:42:ac:11:00:02"]),
        (checks.platform, ["linux", "linux/amd64", "linux/arm/v7"], ["", "a/b/c/d", "linux/", "li nux"]),
    ],
)
def test_words(check, good, bad):
    for word in good:
        check(word)
    for word in bad:
        with pytest.raises(InvalidArgument):
            check(word)


def test_namespaces():
    assert checks.namespace("pid", "container:x", ("host", "container:")) == "container:x"
    for flag, text in (("pid", "x"), ("pid", "container:"), ("uts", "private"), ("cgroupns", "container:x")):
        with pytest.raises(InvalidArgument, match=f"--{flag}: invalid .* mode"):
            checks.namespace(flag, text, ("host", "container:") if flag == "pid" else ("host",))
