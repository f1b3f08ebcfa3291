"""The corpus of compose files: `cases/*.yaml`, each a list of cases. A case is data: `name`; `files` (path -> text); `args` (words before
the verb), `verb` (the verb and its words, `config` where not given), `env`, `stdin`; and what comes of it, as the compose plugin 2.26.1 has
it: `out` (what is printed; $DIR is the directory), `hash` (service -> config hash, where no path is in it), or `code` and `says` (part of
the message). `ours` is a sentence why this program does something else than the plugin, on purpose: what is expected is then ours.

`python -m tests.unit.compose.load.corpus FILE…` asks the plugin and writes the answers into the files."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from scow.cli.command import Cli
from scow.compose.commands.main import run

CASES = Path(__file__).parent / "cases"
PLUGIN = Path.home() / ".docker/cli-plugins/docker-compose"
NAME = "proj"
BASE_ENV = {"HOME": "/home/someone", "PATH": "/usr/bin:/bin"}


def groups() -> list[Path]:
    return sorted(CASES.glob("*.yaml"))


def read(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.load(path.read_text(), yaml.CSafeLoader)
    return found


def lay(case: dict[str, Any], top: Path) -> Path:
    """The case's files, in a directory below `top` that has the project's name."""
    folder = top / NAME
    folder.mkdir(parents=True)
    for name, text in case["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


class FakeCli(Cli):
    """A client that keeps what is written, and has no engine."""

    def __init__(self, environ: dict[str, str]) -> None:
        def dial() -> Any:
            raise AssertionError("no engine is asked")

        super().__init__(dial, lambda name: environ.get(name, ""), "/nonexistent")
        self.vars, self.written, self.told = environ, "", ""

    def environ(self) -> dict[str, str]:
        return dict(self.vars)

    def out(self, text: str) -> None:
        self.written += text

    def err(self, text: str) -> None:
        self.told += text


def ours(case: dict[str, Any], folder: Path, *verb: str) -> tuple[int, str, str]:
    """(exit status, output, errors) of this program. The working directory is the case's while it runs."""
    cli = FakeCli({**BASE_ENV, **case.get("env", {})})
    before = os.getcwd()
    stdin = os.dup(0)
    os.chdir(folder)
    try:
        with tempfile.TemporaryFile() as file:
            file.write(case.get("stdin", "").encode())
            file.seek(0)
            os.dup2(file.fileno(), 0)
            code = run(cli, [*case.get("args", []), *(verb or case.get("verb", ["config"]))])
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)
        os.chdir(before)
    return code, _hidden(cli.written, folder), _hidden(cli.told, folder)


def plugin(case: dict[str, Any], folder: Path, *verb: str) -> tuple[int, str, str]:
    """The same, of the compose plugin."""
    done = subprocess.run(
        [str(PLUGIN), *case.get("args", []), *(verb or case.get("verb", ["config"]))],
        cwd=folder,
        env={**BASE_ENV, **case.get("env", {})},
        input=case.get("stdin", "").encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, _hidden(done.stdout.decode(), folder), _hidden(done.stderr.decode(), folder)


def _hidden(text: str, folder: Path) -> str:
    return text.replace(str(folder), "$DIR")


def hashes(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\S+) ([0-9a-f]{64})$", text, re.M))


def wants_hash(case: dict[str, Any], out: str) -> bool:
    """Whether the case's services have hashes that don't depend on where the files are."""
    return (
        "verb" not in case
        and not any("env_file" in text for text in case["files"].values())
        and "$DIR" not in out.replace("context: $DIR", "")
    )


def message(text: str) -> str:
    """The last thing said, without warnings and marks."""
    lines = [line for line in text.splitlines() if line and not line.startswith("time=")]
    return "\n".join(lines)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def write(path: Path, cases: list[dict[str, Any]]) -> None:
    order = ("name", "ours", "env", "args", "verb", "stdin", "files", "code", "says", "out", "hash")
    sorted_cases = [{key: case[key] for key in order if key in case} for case in cases]
    path.write_text(yaml.dump(sorted_cases, Dumper=_Dumper, sort_keys=False, width=10000, allow_unicode=True))


def record(path: Path) -> None:
    """Asks the plugin for every case of a file."""
    cases = read(path)
    for case in cases:
        if "ours" in case:
            continue
        with tempfile.TemporaryDirectory() as top:
            folder = lay(case, Path(top))
            code, out, err = plugin(case, folder)
            for key in ("code", "out", "hash"):
                case.pop(key, None)
            if code:
                case["code"] = code
                case.setdefault("says", re.sub(r"^validating \S+: ", "", message(err)))
                continue
            case.pop("says", None)
            case["out"] = out
            if wants_hash(case, out):
                case["hash"] = hashes(plugin(case, folder, "config", "--hash", "*")[1])
    write(path, cases)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(Path(name))
