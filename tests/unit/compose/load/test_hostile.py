"""Files that are made to hurt: bounded time and memory, and a sentence with the place in the end."""

from itertools import pairwise
from pathlib import Path

import pytest

from scow.compose.load import interpolate, yaml
from scow.compose.load.errors import LoadError
from scow.compose.load.loader import load
from scow.compose.load.options import LoadOptions

LETTERS = "abcdefghi"
LAUGHS = "x-a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"x-{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(LETTERS)
)
SERVICE = "services: {a: {image: x}}\n"


def refused(folder: Path, text: str) -> str:
    file = folder / "compose.yaml"
    file.write_text(text)
    with pytest.raises(LoadError) as caught:
        load(LoadOptions(files=(str(file),)))
    return caught.value.message.removeprefix(str(folder))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS + SERVICE, "aliases are copied wherever they stand"),
        ("services: &s {a: {image: x, x-z: *s}}\n", "an alias stands inside what it names"),
        ("services: {a: {image: x, x-d: " + "[" * 5000 + "]" * 5000 + "}}\n", "nest"),
        ("services: {a: {image: x, x-d: " + "[" * 100 + "]" * 100 + "}}\n", "nested deeper than 64 levels"),
        ('services: {a: {image: "' + "${A:-" * 200 + "}" * 200 + '"}}\n', "variables nested deeper than 32 levels"),
        ("services: {a: {image: x, ports: [" + ", ".join(f'"{n}.0.0.1:1-65000:1-65000"' for n in range(1, 9)) + "]}}\n", "ports"),
        ("services: {a: {image: x, scale: " + "9" * 5000 + "}}\n", "scale must be an integer"),
        ("services: {? [a] : {image: x}}\n", "a key is a text"),
        ("services: {a: {<<: 5}}\n", "map merge requires"),
        ("\0\1", "control characters are not allowed"),
        ("services:\n" + "".join(f"  a{n}: {{image: x, ports: ['1-65535']}}\n" for n in range(3)), "more than 131072 ports in all"),
        ("networks: {'': x}\n" + SERVICE, "must be a mapping"),
        ("services: {a: {image: x, build: {'': x}}}\n", "services.a.build Additional property  is not allowed"),
        ('services: {a: {image: x, "\\e[31mred": 1}}\n', r"Additional property \x1b[31mred is not allowed"),
        ("services: {a: {image: x, ports: ['" + "9" * 5000 + "']}}\n", "invalid containerPort: 999"),
        ("services: {a: {image: x, env_file: nowhere}}\n", "/compose.yaml:1:26: env file"),
        ("services:\n" + "".join(f"  a{n}: {{image: x, depends_on: [a{(n + 1) % 300}]}}\n" for n in range(300)), "cycle"),
    ],
    ids=[
        *("laughs", "cycle", "depth", "levels", "variables", "ports", "digits", "key", "merge", "binary", "all-ports", "name", "empty-key"),
        *("escape", "long", "env-file", "ring"),
    ],
)
def test_is_refused(text: str, says: str, tmp_path: Path) -> None:
    message = refused(tmp_path, text)
    assert says in message and len(message) < 2100


def test_large_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "MAX_TEXT", 100)
    assert "larger than" in refused(tmp_path, SERVICE + "#" * 200)


def test_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted while the parser makes them."""
    monkeypatch.setattr(yaml, "MAX_VALUES", 100)
    assert refused(tmp_path, "x-a: [" + "!a a," * 100 + "]\n" + SERVICE) == "/compose.yaml:1:6: yaml: more than 100 values"


def test_variables_that_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolate, "MAX_WORK", 1 << 20)
    (tmp_path / ".env").write_text("A=" + "x" * 1000 + "\n" + "".join(f"{b}=${a}${a}\n" for a, b in pairwise("ABCDEFGHIJK")))
    assert "variables make more than" in refused(tmp_path, SERVICE)
    (tmp_path / ".env").write_text("A=" + "x" * 1000 + "\n")
    (tmp_path / "more.yaml").write_text("x-a: [" + "'${A}'," * 600 + "]\n")
    assert "x-a." in refused(tmp_path, "include: [more.yaml]\nx-a: [" + "'$A'," * 600 + "]\n" + SERVICE), "files share what there is"


def test_many_services_extend_one_file(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("services: {base: {image: x, labels: {a: b}}}\n")
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n" + "".join(f"  a{n}: {{extends: {{file: base.yaml, service: base}}}}\n" for n in range(400)))
    services = load(LoadOptions(files=(str(file),))).services
    assert len(services) == 400 and services["a7"].labels == {"a": "b"}


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"services: \xff\xfe")
    with pytest.raises(LoadError, match="not UTF-8"):
        load(LoadOptions(files=(str(tmp_path / "compose.yaml"),)))


def test_place_and_nearest_key(tmp_path: Path) -> None:
    text = "services:\n  web:\n    image: x\n    enviroment: {A: b}\n"
    says = "/compose.yaml:4:5: services.web Additional property enviroment is not allowed (did you mean environment?)"
    assert refused(tmp_path, text) == says


def test_place_in_an_override(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("services:\n  web: {image: x}\n")
    (tmp_path / "b.yaml").write_text("services:\n  web:\n    networks: [nowhere]\n")
    with pytest.raises(LoadError, match=r"b\.yaml:3:5: .*undefined network nowhere") as caught:
        load(LoadOptions(files=(str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))))
    assert caught.value.code == 15


def test_stack_dialect(tmp_path: Path) -> None:
    """Stack files keep their extensions, know no profiles and get no default network."""
    file = tmp_path / "stack.yaml"
    file.write_text(
        'version: "3.8"\nservices: {a: {image: x, deploy: {x-autoscale: {min: 1, max: 5}}}, b: {image: y, profiles: [z]}}\n'
        "networks: {n: {driver: overlay}}\n"
    )
    project = load(LoadOptions(files=(str(file),), project_name="s", dialect="stack"))
    assert list(project.services) == ["a", "b"] and not project.services["a"].networks and not project.warnings
    deploy = project.services["a"].deploy
    assert deploy is not None and deploy.extensions == {"x-autoscale": {"min": 1, "max": 5}}


def test_an_anchor_may_be_set_twice(tmp_path: Path) -> None:
    """As in the plugin: the last before the alias counts."""
    file = tmp_path / "compose.yaml"
    file.write_text(
        "x-a: &a {image: x}\nx-b: &a {image: y}\nservices:\n  one: *a\n  two: {<<: *a, command: &c [a, !!str 1, '2']}\n"
        "  three: {image: &c z, hostname: *c, scale: 2}\n---\nservices: {one: {image: &c q, hostname: *c}}\n"
    )
    services = load(LoadOptions(files=(str(file),))).services
    assert [(one.image, one.hostname) for one in services.values()] == [("q", "q"), ("z", "z"), ("y", "")]
    assert services["two"].command == ("a", "1", "2") and services["three"].scale == 2
    twice = "x-a: &a 1\nx-b: &a 2\n"
    assert "found undefined alias" in refused(tmp_path, twice + "services: *b\n")
    assert "stands inside what it names" in refused(tmp_path, twice + "services: &s {a: {image: x, x-z: *s}}\n")
