"""Strings in container requests: whatever comes, an answer or InvalidArgument, soon."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.errors import InvalidArgument
from scow.model.container import ContainerConfig, HostConfig, Mount, VolumeOptions
from scow.opts import binds, devices, signals, tmpfs, ulimits
from scow.runtime import checks, seccomp, security
from scow.volumes import mounts
from scow.volumes.service import Volume

PATHS = st.text(st.sampled_from("/.:ab,rozZ\0 é-"), max_size=40)
ANY = st.text(max_size=60)


@pytest.mark.parametrize(
    "parse",
    [
        binds.parse,
        binds.parse_volumes_from,
        binds.check_destination,
        devices.parse_rule,
        devices.check_permissions,
        signals.parse,
        tmpfs.merge,
        ulimits.parse,
        seccomp.parse,
        lambda text: security.parse([text]),
    ],
)
@given(text=PATHS | ANY)
def test_grammars(parse, text):
    try:
        parse(text)
    except InvalidArgument:
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_CMP_EQ", "read", "SCMP_ARCH_X86_64"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "defaultAction",
                    "syscalls",
                    "names",
                    "name",
                    "action",
                    "args",
                    "index",
                    "value",
                    "op",
                    "includes",
                    "excludes",
                    "caps",
                    "archMap",
                    "arches",
                    "architecture",
                    "subArchitectures",
                    "minKernel",
                    "architectures",
                    "errnoRet",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(document=JSON)
def test_seccomp_profiles(document):
    if isinstance(document, dict):
        document["defaultAction"] = "SCMP_ACT_ALLOW"
    try:
        profile = seccomp.parse(json.dumps(document))
    except InvalidArgument:
        return
    seccomp.render(profile, {"CAP_CHOWN"}, "x86_64", (6, 1))


class Volumes:
    async def ensure(self, name="", driver="", options=None, labels=None):
        return Volume(name or "a" * 64, driver or "local", "/v")


@given(
    texts=st.lists(PATHS, max_size=4),
    source=PATHS,
    target=PATHS,
    subpath=PATHS,
    kind=st.sampled_from(["bind", "volume", "tmpfs", "image", ""]),
)
def test_mounts(texts, source, target, subpath, kind):
    options = VolumeOptions(subpath=subpath) if kind == "volume" else None
    host = HostConfig(binds=texts[:2], tmpfs=dict.fromkeys(texts[2:], ""), mounts=[Mount(kind, source, target, volume_options=options)])
    try:
        found = asyncio.run(mounts.resolve(Volumes(), ContainerConfig(volumes={target: {}}), host, lambda name: []))
    except InvalidArgument:
        return
    for point in found:
        assert point.destination.startswith("/") and ".." not in point.destination.split("/") and point.destination != "/"
        assert not point.subpath.startswith(("/", "../")) and point.subpath != ".."


@given(name=ANY, value=ANY, mode=ANY, port=PATHS | st.sampled_from(["80/tcp", "1-2", "99999", "²"]))
def test_checks(name, value, mode, port):
    host = HostConfig(sysctls={name: value}, ipc_mode=mode, port_bindings={port: []}, cgroup_parent=name, cpuset_cpus=port)
    try:
        checks.validate(host, ContainerConfig(env=[name, value], hostname=mode, exposed_ports={port: {}}))
    except InvalidArgument:
        pass
