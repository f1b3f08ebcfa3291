"""Extended attributes that mean something to an overlay or to an archive."""

import os

OPAQUE = "trusted.overlay.opaque"
KEPT = ("user.", "security.capability", "system.posix_acl_")


def is_opaque(path: bytes | str) -> bool:
    """Whether a directory of an upper layer hides everything below it."""
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def set_opaque(path: bytes | str) -> None:
    """Make a directory of an upper layer hide everything below it."""
    os.setxattr(path, OPAQUE, b"y", follow_symlinks=False)


def archived(name: str) -> bool:
    """Whether an attribute travels in archives. trusted.* never does: an archive could steer the overlay with it."""
    return name.startswith(KEPT)
