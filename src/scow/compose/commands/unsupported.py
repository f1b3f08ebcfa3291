"""Verbs of newer plugins that this program knows and does not do."""

from __future__ import annotations

from scow.cli.flags import Options
from scow.compose.commands.session import Session, Verb
from scow.errors import ScowError


def publish(session: Session, options: Options, args: list[str]) -> int:
    """Says why not."""
    raise ScowError(
        "compose publish: applications as OCI artifacts are not supported: `compose push` sends the images, "
        "`compose config --resolve-image-digests` prints the file that names them for good"
    )


PUBLISH = Verb(
    " [OPTIONS] REPOSITORY[:TAG]",
    (
        ("app", "", "bool", False, "With the images"),
        ("oci-version", "", "string", "", "Version of the OCI specification"),
        ("resolve-image-digests", "", "bool", False, "Pin images to their digests"),
        ("with-env", "", "bool", False, "With the environment"),
        ("yes", "y", "bool", False, "Answer yes to all questions"),
    ),
    publish,
)
