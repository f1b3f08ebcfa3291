"""What is external: there or not, and configs that the swarm tells."""

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from scow.client.transport import ApiError
from scow.compose import contents, externals
from scow.compose.model.build import FileUse
from scow.compose.model.project import FileObject, Network, Project, Volume
from scow.compose.model.service import Service
from scow.errors import ScowError


class Client:
    """Answers by path: a value, or the status of an error."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {f"/{kind}/{name}": answer for kind, rows in answers.items() for name, answer in rows.items()}

    def get(self, path: str) -> Any:
        found = self.answers.get(path, 404)
        if isinstance(found, int):
            raise ApiError(found, "no")
        return found

    def call(self, verb: str, path: str) -> Any:
        found = self.get(path)
        return SimpleNamespace(read=lambda: found)


def session(**answers: Any) -> Any:
    return SimpleNamespace(client=Client(**answers))


def project(**more: Any) -> Project:
    return Project(name="p", services={"web": Service(name="web", image="x", configs=(FileUse(source="one"),))}, **more)


ONE = {"one": FileObject(name="swarms", external=True), "unused": FileObject(name="unused", external=True)}


def test_a_config_of_the_swarm_is_taken_over() -> None:
    answer = {"Spec": {"Data": base64.b64encode(b"held \xff").decode()}}
    found = externals.resolved(session(configs={"swarms": answer}), project(configs=ONE))
    assert b"held \xff" in contents.archive(found, found.services["web"])
    assert found.configs["unused"].external


@pytest.mark.parametrize(
    ("answer", "text"),
    [(404, "not found in the swarm"), (503, "manages no swarm"), ({"Spec": {"Data": "?"}}, "can't be understood"), (500, "no")],
)
def test_configs_that_can_not_be_had(answer: Any, text: str) -> None:
    with pytest.raises(ScowError, match=text):
        externals.resolved(session(configs={"swarms": answer}), project(configs=ONE))


def test_secrets_of_a_swarm_are_told_to_nobody() -> None:
    service = Service(name="web", secrets=(FileUse(source="one"),))
    with pytest.raises(ScowError, match="unsupported external secret swarms: no engine tells"):
        contents.archive(Project(name="p", secrets=ONE), service)


def test_networks_and_volumes_that_are_not_there() -> None:
    there = session(networks={"a": {}}, volumes={"b": {}})
    given = {"networks": {"n": Network(name="a", external=True)}, "volumes": {"v": Volume(name="b", external=True)}}
    externals.resolved(there, project(**given))
    with pytest.raises(ScowError, match="network a declared as external"):
        externals.resolved(session(), project(**given))
    with pytest.raises(ScowError, match='external volume "b" not found'):
        externals.resolved(session(networks={"a": {}}), project(**given))
