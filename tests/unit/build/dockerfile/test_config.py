"""What instructions do to a configuration."""

from typing import Any

import pytest

from scow.build.dockerfile import config, parser, stages
from scow.build.dockerfile.errors import DockerfileError


def after(text: str, before: dict[str, Any] | None = None) -> dict[str, Any]:
    found = dict(before or {})
    for one in stages.read(parser.parse(f"FROM scratch\n{text}\n")).stages[0].commands:
        found = config.apply(found, one)
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("LABEL a=1\nLABEL b=2 a=3", {"Labels": {"a": "3", "b": "2"}}),
        ("ENV A=1 B=2\nENV A=3", {"Env": ["A=3", "B=2"]}),
        ("EXPOSE 80 1000-1001/udp", {"ExposedPorts": {"80/tcp": {}, "1000/udp": {}, "1001/udp": {}}}),
        ('VOLUME /a\nVOLUME ["/b c"]', {"Volumes": {"/a": {}, "/b c": {}}}),
        ("WORKDIR /a\nWORKDIR b\nWORKDIR ./c/../d", {"WorkingDir": "/a/b/d"}),
        ("WORKDIR ../../..", {"WorkingDir": "/"}),
        ("USER a:b", {"User": "a:b"}),
        ("STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
        ('SHELL ["/bin/bash", "-c"]\nCMD x y', {"Shell": ["/bin/bash", "-c"], "Cmd": ["/bin/bash", "-c", "x y"]}),
        ('CMD ["a", "b"]', {"Cmd": ["a", "b"]}),
        ("CMD []", {"Cmd": []}),
        ('ENTRYPOINT ["e"]', {"Entrypoint": ["e"], "Cmd": None}),
        ("HEALTHCHECK --interval=5s CMD x", {"Healthcheck": {"Test": ["CMD-SHELL", "x"], "Interval": 5_000_000_000}}),
        ("ONBUILD RUN x\nONBUILD COPY a b", {"OnBuild": ["RUN x", "COPY a b"]}),
    ],
)
def test_instructions(text: str, wanted: dict[str, Any]) -> None:
    assert after(text) == wanted


def test_entrypoint_resets_the_bases_command_but_not_the_files_own() -> None:
    (one,) = stages.read(parser.parse('FROM scratch\nENTRYPOINT ["e"]\n')).stages[0].commands
    assert config.apply({"Cmd": ["base"]}, one)["Cmd"] is None
    assert config.apply({"Cmd": ["own"]}, one, cmd_given=True)["Cmd"] == ["own"]


@pytest.mark.parametrize("text", ["STOPSIGNAL NOPE", "EXPOSE 70000", "EXPOSE 80/foo"])
def test_values_that_make_no_sense_are_refused_with_their_line(text: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        after(text)
    assert caught.value.start == 2


def test_a_configuration_is_never_changed_in_place() -> None:
    before = {"Env": ["A=1"], "Labels": {"a": "1"}}
    after("ENV A=2\nLABEL a=2", before)
    assert before == {"Env": ["A=1"], "Labels": {"a": "1"}}
