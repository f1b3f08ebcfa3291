"""Projects of `scow compose` on a scowd of their own."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import SCOW, Cli, Done, docker_program, has_plugin
from tests.support.engine import Engine


class Project:
    """A project in a folder of its own; `project("up", "-d")` runs `scow compose` there, `plugin(…)` docker's plugin."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder, self.name = engine, folder, folder.name.lower().replace("_", "-")
        self.cli = Cli(engine, SCOW)

    def file(self, text: str, name: str = "compose.yaml") -> None:
        (self.folder / name).write_text(text)

    def __call__(self, *args: str, code: int | None = 0, env: dict[str, str] | None = None) -> Done:
        return self.cli("compose", "-p", self.name, "-f", "compose.yaml", *args, code=code, cwd=self.folder, env=env)

    def plugin(self, *args: str, code: int | None = 0, env: dict[str, str] | None = None) -> Done:
        if not has_plugin("compose"):
            pytest.skip("needs the compose plugin of the docker CLI")
        docker = Cli(self.engine, docker_program() or "docker")
        return docker("compose", "-p", self.name, "-f", "compose.yaml", *args, code=code, cwd=self.folder, env=env)

    def begin(self, *args: str, env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """A call that goes on beside the test."""
        argv = [SCOW, "compose", "-p", self.name, "-f", "compose.yaml", *args]
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env={**self.cli.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def containers(self) -> dict[str, dict[str, Any]]:
        """name -> what the engine's list says, also of stopped ones."""
        rows = self.engine.api("GET", "/containers/json?all=1").json
        mine = [row for row in rows if row["Labels"].get("com.docker.compose.project") == self.name]
        return {row["Names"][0].removeprefix("/"): row for row in mine}

    def ids(self) -> set[str]:
        return {row["Id"] for row in self.containers().values()}
