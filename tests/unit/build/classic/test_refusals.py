"""What only BuildKit understands is refused by name."""

import pytest

from scow.build.classic import refusals
from scow.build.dockerfile import parser, stages
from scow.build.dockerfile.errors import DockerfileError


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("RUN --mount=type=cache,target=/c true", "--mount option"),
        ("RUN --network=none true", "--network option"),
        ("RUN <<E\ntrue\nE", "here-document"),
        ("COPY --chmod=755 a /", "--chmod option"),
        ("COPY --link a /", "--link option"),
        ("COPY --parents a /", "--parents option"),
        ("COPY --exclude=x a /", "--exclude option"),
        ("COPY <<E /x\nq\nE", "here-document"),
        ("ADD --checksum=sha256:00 http://x/y /", "--checksum option"),
        ("ADD --unpack=true http://x/y /", "--unpack option"),
    ],
)
def test_refused_with_the_name_of_what_and_advice(line: str, named: str) -> None:
    (one,) = stages.read(parser.parse(f"FROM scratch\n{line}\n")).stages[0].commands
    with pytest.raises(DockerfileError, match=f"the {named} requires BuildKit"):
        refusals.check(one)


@pytest.mark.parametrize("line", ["RUN true", "COPY --from=x --chown=1:2 a /", "ADD a /", "ENV a=b"])
def test_the_rest_passes(line: str) -> None:
    (one,) = stages.read(parser.parse(f"FROM scratch\n{line}\n")).stages[0].commands
    refusals.check(one)
