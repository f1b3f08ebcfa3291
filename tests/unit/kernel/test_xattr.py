"""Which attributes travel."""

from scow.kernel.xattr import archived


def test_attributes_that_steer_the_kernel_stay():
    assert archived("user.a")
    assert archived("security.capability")
    assert not archived("trusted.overlay.redirect")
    assert not archived("security.selinux")
