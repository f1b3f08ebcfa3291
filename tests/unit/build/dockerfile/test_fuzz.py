"""Whatever a Dockerfile holds: it is read and converted, or refused with a DockerfileError."""

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scow.build.dockerfile import parser, stages
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.expand import expand
from scow.build.dockerfile.parser import INSTRUCTIONS
from scow.errors import ScowError
from tests.unit.build.dockerfile.kit import Resolver, convert

PIECES = [
    *INSTRUCTIONS, "busybox", "scratch", "AS", "one", "--from=one", "--mount=", "type=cache", ",target=/x", "--link", "--chmod=",
    "<<EOF", "EOF", "<<-'E'", "\\", "\n", "\n", "\n", " ", "$A", "${A:-", "}", "${", "'", '"', "[", '["a"]', "# escape=`", "`", "/", "..",
    "=", "a", "0", ":", "http://x", "git@x:y", "\t", "\r\n", "\ufeff", "\0", "ü", "HEALTHCHECK CMD", "--platform=", "linux/arm64",
    "80/tcp", "@sha256:", "**", "/./",
]  # fmt: skip
PARTS = st.lists(st.sampled_from(PIECES), max_size=40)
TEXT = st.one_of(st.text(max_size=200), PARTS.map("".join), PARTS.map(" ".join))
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@given(TEXT)
@QUICK
def test_reading(text: str) -> None:
    with contextlib.suppress(DockerfileError):
        stages.read(parser.parse(text))


@given(st.binary(max_size=300))
@QUICK
def test_bytes(data: bytes) -> None:
    parser.syntax(data)
    with contextlib.suppress(DockerfileError):
        stages.read(parser.parse(data))


@given(TEXT)
@QUICK
def test_converting(text: str) -> None:
    with contextlib.suppress(ScowError):
        convert("FROM busybox AS one\n" + text, Resolver(), build_args={"A": "value"})


@given(TEXT, st.sampled_from("\\`"), st.booleans(), st.booleans())
@QUICK
def test_expanding(text: str, escape: str, raw: bool, skip: bool) -> None:
    with contextlib.suppress(DockerfileError):
        expand(text, {"A": "a b", "one": "*"}, escape, raw_quotes=raw, raw_escapes=raw, skip_unset=skip)
