"""What a container may ask of the kernel: nothing that reaches the host, whatever user, image or exec it comes from."""

import platform
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.boxes import attempt, execute, image, shell
from tests.support.tars import entry

ATTEMPTS = {
    "core pattern": "echo '|/x' > /proc/sys/kernel/core_pattern",
    "modprobe": "echo /x > /proc/sys/kernel/modprobe",
    "binfmt": "mount -t binfmt_misc x /tmp || echo x > /proc/sys/fs/binfmt_misc/register",
    "panic": "echo 1 > /proc/sys/kernel/panic",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "uevent helper": "echo /x > /sys/kernel/uevent_helper",
    "a device's rescan": "echo 1 > /sys/bus/pci/rescan",
    "notify on release": "find /sys/fs/cgroup/ -name notify_on_release | while read f; do echo 1 > $f && echo escaped-$f; done; false",
    "release agent": "find /sys/fs/cgroup/ -name release_agent | while read f; do echo /x > $f && echo escaped-$((1+1)); done; false",
    "a control group": "for d in /sys/fs/cgroup/*; do mkdir $d/x && echo escaped-$((1+1)); done; false",
    "device rules": "for f in /sys/fs/cgroup/devices/devices.allow; do echo a > $f && echo escaped-$((1+1)); done; false",
    "a cgroup mount": "mkdir /tmp/c && mount -t cgroup -o memory x /tmp/c",
    "a bind mount": "mount -o bind /proc /home",
    "a remount": "mount -o remount,rw /proc/sys",
    "an unmount": "umount /proc/sys || umount /proc/kcore || umount /etc/hosts",
    "a propagation": "mount --make-rshared /",
    "a user namespace": "unshare -r true",
    "a mount namespace": "unshare -m true",
    "another's namespace": "nsenter -t 1 -n true",
    "a block device": "mknod /tmp/d b 8 0 && { head -c 1 /tmp/d || false; }",
    "a memory device": "mknod /tmp/m c 1 1 && head -c 1 /tmp/m",
    "the kernel's log device": "mknod /tmp/k c 1 11 && head -c 1 /tmp/k",
    "a fuse device": "mknod /tmp/f c 10 229 && head -c 1 /tmp/f",
    "the clock": "date -s 2001-01-01; test $(date +%Y) = 2001",
    "the kernel's log": "dmesg -c",
    "the host's name": "hostname evil",
    "a network link": "ip link add x type dummy",
    "an address": "ip addr add 10.9.9.9/24 dev eth0",
    "swap": "swapoff -a && swapon /tmp/x",
    "a better priority": "nice -n -20 sh -c 'test $(nice) -lt 0'",
    "a module": "insmod /x.ko || modprobe dummy",
    "a reboot": "reboot -f",
    "kernel memory": "test $(head -c 10 /proc/kcore | wc -c) -gt 0",
    "keys": "test $(cat /proc/keys | wc -c) -gt 0",
    "another root": "mkdir /tmp/p && pivot_root / /tmp/p",
}


def test_an_ordinary_container_changes_nothing_of_the_host(engine):
    script = "\n".join(f'( {command} ) 2>/dev/null && echo "escaped: {what}"' for what, command in ATTEMPTS.items())
    for privileges in ({}, {"User": "user"}):
        _, out = shell(engine, script + "\necho finished", **privileges)
        assert "escaped" not in out
        assert out.strip().endswith("finished")


# name: (number on x86-64, first arguments)
CALLS = {
    "keyctl": (250, ()), "add_key": (248, ()), "request_key": (249, ()), "bpf": (321, ()), "perf_event_open": (298, ()),
    "userfaultfd": (323, ()), "kexec_load": (246, ()), "kexec_file_load": (320, ()), "init_module": (175, ()), "finit_module": (313, ()),
    "delete_module": (176, ()), "open_by_handle_at": (304, ()), "mount": (165, ()), "umount2": (166, ()), "pivot_root": (155, ()),
    "unshare user": (272, (0x10000000,)), "unshare mount": (272, (0x20000,)), "clone user": (56, (0x10000000 | 17,)), "clone3": (435, ()),
    "setns": (308, ()), "acct": (163, ()), "swapon": (167, ()), "reboot": (169, ()), "iopl": (172, (3,)), "ioperm": (173, (0, 1, 1)),
    "settimeofday": (164, ()), "clock_settime": (227, ()), "quotactl": (179, ()), "nfsservctl": (180, ()), "lookup_dcookie": (212, ()),
    "move_pages": (279, ()), "fsopen": (430, ()), "fsmount": (432, ()), "move_mount": (429, ()), "open_tree": (428, ()),
    "mount_setattr": (442, ()), "vsock": (41, (40, 1, 0)), "personality": (135, (0x0040000,)), "syslog": (103, (3,)),
}  # fmt: skip

PROBE = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
out = {}
for name, (number, arguments) in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    found = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments], *[ctypes.c_long(0)] * (6 - len(arguments)))
    if found == 0 and name.startswith("clone"):
        libc._exit(0)
    out[name] = 0 if found >= 0 else ctypes.get_errno()
print(json.dumps(out))
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86-64")
def test_dangerous_system_calls_are_denied(engine):
    import errno
    import json

    python = str(Path(sys.executable).resolve())
    made = engine.create("chroot", "/host", python, "-IS", "-c", PROBE, json.dumps(CALLS), HostConfig={"Binds": ["/:/host:ro"]})
    assert engine.api("POST", f"/containers/{made}/start").status == 204
    assert engine.wait(made) == 0, engine.logs(made)
    found = json.loads(engine.logs(made))
    engine.api("DELETE", f"/containers/{made}?force=1")
    assert {name: code for name, code in found.items() if code not in (errno.EPERM, errno.ENOSYS)} == {}


def test_no_new_privileges_holds_for_execs_too(engine):
    made = engine.container(HostConfig={"SecurityOpt": ["no-new-privileges"]}, User="user")
    for more in ({}, {"User": "0"}, {"Privileged": True}, {"Tty": False, "User": "user"}):
        code, out = execute(engine, made, "grep", "NoNewPrivs", "/proc/self/status", **more)
        assert (code, out.split()) == (0, ["NoNewPrivs:", "1"])
    engine.api("DELETE", f"/containers/{made}?force=1")


def test_processes_of_others_are_out_of_sight(engine):
    one = engine.container("sleep", "12321")
    code, out = shell(engine, "ps; ls /proc; kill -9 -1; echo alive")
    assert code == 0
    assert "12321" not in out
    assert len([word for word in out.split() if word.isdigit() and int(word) > 100]) == 0
    assert engine.inspect(one)["State"]["Running"]
    engine.api("DELETE", f"/containers/{one}?force=1")


@pytest.mark.parametrize("number", range(3, 16))
def test_working_directories_of_leaked_descriptors(engine, box, number, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    script = f"cat ../../../../../../../../../..{secret}; ls ../../../../../../../..; readlink /proc/self/cwd"
    for found in (
        attempt(engine, "sh", "-c", script, WorkingDir=f"/proc/self/fd/{number}"),
        execute(engine, box, "sh", "-c", script, WorkingDir=f"/proc/self/fd/{number}"),
    ):
        assert "of the host" not in found[1]
        assert "var/tmp" not in found[1]


def test_descriptors_of_a_process_and_an_exec(engine, box):
    _, out = shell(engine, "ls -l /proc/self/fd /proc/1/fd")
    _, more = execute(engine, box, "sh", "-c", "ls -l /proc/self/fd /proc/1/fd")
    found = [line.partition(" -> ")[2] for line in (out + more).splitlines() if " -> " in line]
    assert len(found) >= 12
    assert [target for target in found if not target.startswith(("pipe:", "/dev/null", "socket:", "/proc/")) or "/ns/" in target] == []


@pytest.fixture(scope="module")
def box(engine):
    made = engine.container()
    yield made
    engine.api("DELETE", f"/containers/{made}?force=1")


ACCOUNTS = b"""root:x:0:0:root:/root:/bin/sh
over:x:4294967296:4294967296::/:/bin/sh
minus:x:-1:-1::/:/bin/sh
word:x:zero:0::/:/bin/sh
short:x:7
1234:x:77:78::/:/bin/sh
plus:x:+0:+0::/:/bin/sh
twice:x:1001:1001::/:/bin/sh
twice:x:0:0::/:/bin/sh
:x:0:0::/:/bin/sh
"""


def test_users_that_are_not_what_they_seem(engine):
    ref = image(engine, "odd-users", files=[("etc/passwd", ACCOUNTS), ("etc/group", b"big:x:4294967296:plus\nroot:x:0:\nneg:x:-5:\n")])
    for user in (
        "over",
        "minus",
        "word",
        "short",
        "4294967296",
        "-1",
        "0x0",
        "nobody-here",
        "twice:big",
        "twice:neg",
        "twice:none",
        "a b",
        "plus",
    ):
        code, out = attempt(engine, "id", Image=ref, User=user)
        assert code >= 400 and "uid=" not in out, (user, out)
    for user, wanted in (("1234", "77\n78"), ("twice", "1001\n1001"), ("2000", "2000\n0"), ("2000:2001", "2000\n2001")):
        assert attempt(engine, "sh", "-c", "id -u 2>/dev/null; id -g 2>/dev/null", Image=ref, User=user) == (0, wanted + "\n")
    made = engine.container(Image=ref, User="twice")
    for user in ("over", "minus", "word", "4294967296", "-1"):
        code, out = execute(engine, made, "id", User=user)
        assert code >= 126 and "uid=" not in out, (user, out)
    engine.api("DELETE", f"/containers/{made}?force=1")


def both(**kind):
    """The two account files as something else; a link may lead elsewhere for each."""
    links = kind.pop("links", ("", ""))
    return [entry(path, link=link, **kind) for path, link in zip(("etc/passwd", "etc/group"), links, strict=True)]


def odd_accounts(tmp_path):
    victim = tmp_path / "passwd"
    victim.write_text("hostuser:x:0:0::/:/bin/sh\n")
    return {
        "fifo": both(type=tarfile.FIFOTYPE),
        "device": both(type=tarfile.CHRTYPE, device=(1, 5)),
        "terminal": both(type=tarfile.CHRTYPE, device=(5, 2)),
        "endless": both(type=tarfile.SYMTYPE, links=("/dev/zero", "/dev/zero")),
        "outside": both(type=tarfile.SYMTYPE, links=(str(victim), "/proc/1/root/etc/group")),
        "itself": both(type=tarfile.SYMTYPE, links=("passwd", "group")),
        "large": [entry("etc/passwd", b"x:y:z\n" * (2 << 20)), entry("etc/group", b"\0" * (12 << 20))],
        "folder": both(type=tarfile.DIRTYPE, mode=0o755),
    }


@pytest.mark.parametrize("kind", ["fifo", "device", "terminal", "endless", "outside", "itself", "large", "folder"])
def test_account_files_that_are_none(engine, tmp_path, kind):
    """Looking up a user neither blocks, nor reads outside, nor opens a device, at start and in an exec."""
    ref = image(engine, f"accounts-{kind}", extra=odd_accounts(tmp_path)[kind])
    code, text = attempt(engine, "true", Image=ref, User="hostuser")
    assert code == 400 and "unable to find user" in text, text
    made = engine.container(Image=ref, User="5:6")
    code, text = execute(engine, made, "true", User="somebody:else")
    assert code >= 126 and "unable to find user" in text, text
    assert execute(engine, made, "grep", "Uid", "/proc/self/status", User="7")[1].split() == ["Uid:", *["7"] * 4]
    engine.api("DELETE", f"/containers/{made}?force=1")


def test_an_exec_into_a_container_that_swaps_its_account_files(engine):
    made = engine.container(
        "sh", "-c", "rm /etc/passwd; mkfifo /etc/passwd; rm /etc/group; mknod /etc/group c 1 5; touch /ready; sleep 1000"
    )
    while execute(engine, made, "test", "-e", "/ready")[0] != 0:
        pass
    code, text = execute(engine, made, "true", User="somebody")
    assert code >= 126 and "unable to find user" in text, text
    engine.api("DELETE", f"/containers/{made}?force=1")
