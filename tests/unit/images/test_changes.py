"""`--change` lines."""

import pytest

from scow.errors import InvalidArgument
from scow.images.changes import apply


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('CMD ["a", "b c"]', {"Cmd": ["a", "b c"]}),
        ("cmd a b", {"Cmd": ["/bin/sh", "-c", "a b"]}),
        ('ENTRYPOINT ["/e"]', {"Entrypoint": ["/e"]}),
        ("ENV A=1 B='two words' C=a\\ b", {"Env": ["A=1", "B=two words", "C=a b"]}),
        ("ENV A one two", {"Env": ["A=one two"]}),
        ('LABEL a=b "c d"="e f"', {"Labels": {"a": "b", "c d": "e f"}}),
        ("EXPOSE 80 53/UDP 90-91", {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "90/tcp": {}, "91/tcp": {}}}),
        ('VOLUME ["/a b"]', {"Volumes": {"/a b": {}}}),
        ("WORKDIR /a//b/.", {"WorkingDir": "/a/b"}),
        ("WORKDIR /a\nWORKDIR b", {"WorkingDir": "/a/b"}),
        ("USER 7:8", {"User": "7:8"}),
        ("STOPSIGNAL 9", {"StopSignal": "9"}),
        ("ONBUILD RUN x", {"OnBuild": ["RUN x"]}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            'HEALTHCHECK --interval=3s --retries=2 CMD ["x"]',
            {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 3_000_000_000, "Retries": 2}},
        ),
    ],
)
def test_lines(line, found):
    assert apply({}, [line]) == found


def test_a_variable_is_replaced_in_its_place():
    assert apply({"Env": ["A=1", "B=2"]}, ["ENV A=3"]) == {"Env": ["A=3", "B=2"]}


@pytest.mark.parametrize(
    "line",
    [
        "RUN true",
        "NOSUCH x",
        "ENV",
        "ENV A",
        "LABEL =x",
        "EXPOSE x",
        "EXPOSE 0",
        "EXPOSE 1-99999",
        "CMD",
        "HEALTHCHECK what",
        "ENV A='x",
        "HEALTHCHECK --retries=x CMD y",
        "HEALTHCHECK --nosuch=1 CMD y",
        "ONBUILD ONBUILD RUN x",
    ],
)
def test_bad_lines(line):
    with pytest.raises(InvalidArgument):
        apply({}, [line])
