"""Rendering seccomp profiles."""

import json

import pytest

from scow.errors import InvalidArgument
from scow.runtime import seccomp


def rules(doc):
    return {name: rule for rule in doc["syscalls"] for name in rule["names"]}


def test_default_profile_depends_on_capabilities():
    plain = seccomp.render(seccomp.default_profile(), {"CAP_SYS_CHROOT"}, "x86_64", (6, 1))
    assert plain["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"] and plain["defaultErrnoRet"] == 1
    found = rules(plain)
    assert "chroot" in found and "ptrace" in found and "arch_prctl" in found and "mount" not in found and "keyctl" not in found
    assert found["clone3"]["action"] == "SCMP_ACT_ERRNO" and found["clone3"]["errnoRet"] == 38
    assert "io_uring_setup" not in found and "bpf" not in found
    admin = rules(seccomp.render(seccomp.default_profile(), {"CAP_SYS_ADMIN"}, "x86_64", (6, 1)))
    assert "mount" in admin and admin["clone3"]["action"] == "SCMP_ACT_ALLOW" and "chroot" not in admin
    assert "ptrace" not in rules(seccomp.render(seccomp.default_profile(), set(), "x86_64", (4, 7)))
    assert "arch_prctl" not in rules(seccomp.render(seccomp.default_profile(), set(), "aarch64", (6, 1)))


def test_own_profile():
    text = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"name": "chmod", "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "op": "SCMP_CMP_EQ"}]}],
        }
    )
    doc = seccomp.render(seccomp.parse(text), set())
    assert doc == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 0, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]}
        ],
    }


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"defaultAction": "SCMP_ACT_NONSENSE"}',
        '{"syscalls": 5}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[5]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[1],"action":"SCMP_ACT_ALLOW"}]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"op":"X"}]}]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","architectures":["a"],"archMap":[{}]}',
        "[" * 100000,
        '{"defaultAction":[]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":"x"}',
        '{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":5}]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","includes":{"caps":[[]]}}]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":{},"args":[{"op":[]}]}]}',
    ],
)
def test_broken_profiles(text):
    with pytest.raises(InvalidArgument):
        seccomp.parse(text)
