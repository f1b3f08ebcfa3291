"""--security-opt."""

from scow.runtime import seccomp, security


def test_forms():
    plain = security.parse([])
    assert plain.profile == seccomp.default_profile() and not plain.no_new_privileges
    assert security.parse(["no-new-privileges"]).no_new_privileges and not security.parse(["no-new-privileges=false"]).no_new_privileges
    assert security.parse(["seccomp=unconfined"]).profile is None and security.parse(["seccomp:unconfined"]).profile is None
    assert security.parse(['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'], True).profile == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert security.parse([], True).profile is None and security.parse(["apparmor=x", "label=disable"]).apparmor == "x"
    assert security.parse(["systempaths=unconfined"]).unmasked
