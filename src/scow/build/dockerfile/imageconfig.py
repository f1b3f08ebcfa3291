"""The config of the image that a stage becomes, and its history, with BuildKit's texts. A value per stage, changed by the instructions."""

import copy
from collections.abc import Mapping
from typing import Any

from scow.build.dockerfile import config as rules
from scow.build.dockerfile.instructions import Instruction
from scow.build.llb.ops import Platform
from scow.gotemplate.values import go_quote
from scow.units import format_duration, rfc3339nano

COMMENT = "buildkit.dockerfile.v0"
_NS = 1_000_000_000


class ImageConfig:
    """`data` is the OCI image config; `config` the part that containers start with."""

    def __init__(self, data: Mapping[str, Any], epoch: int | None = None) -> None:
        self.data: dict[str, Any] = copy.deepcopy(dict(data))
        self.data.pop("created", None)
        config = self.data.get("config")
        self.config: dict[str, Any] = config if isinstance(config, dict) else {}
        self.data["config"] = self.config
        history = self.data.get("history")
        self.history: list[dict[str, Any]] = history if isinstance(history, list) else []
        self.data["history"] = self.history
        self.epoch = epoch

    @classmethod
    def empty(cls, platform: Platform, epoch: int | None = None) -> "ImageConfig":
        """That of `FROM scratch`."""
        data: dict[str, Any] = {
            "architecture": platform.architecture,
            "os": platform.os,
            "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"WorkingDir": "/", "Env": [f"PATH={rules.DEFAULT_PATH}"]},
        }
        if platform.variant:
            data["variant"] = platform.variant
        return cls(data, epoch)

    def copy(self) -> "ImageConfig":
        """That of a stage FROM this one: triggers don't carry over."""
        made = ImageConfig(self.data, self.epoch)
        made.config.pop("OnBuild", None)
        return made

    @property
    def env(self) -> dict[str, str]:
        """Variables in order."""
        return rules.environment(self.config)

    def apply(self, one: Instruction, cmd_given: bool = False) -> None:
        """What an expanded instruction does to the config. Raises DockerfileError."""
        self.config = rules.apply(self.config, one, cmd_given)
        self.data["config"] = self.config

    def set_env(self, key: str, value: str) -> None:
        """Add a variable, or change it in its place."""
        self.config["Env"] = rules.set_env(self.config.get("Env") or [], [(key, value)])

    def in_shell(self, args: tuple[str, ...]) -> list[str]:
        """A command line in shell form as words."""
        return [*rules.shell(self.config), " ".join(args)]

    def commit(self, text: str, layer: bool = False, mark: bool = False) -> None:
        """A row of the history; `mark` adds BuildKit's comment to the text of what makes a layer."""
        row: dict[str, Any] = {"created_by": f"{text} # buildkit" if mark else text, "comment": COMMENT}
        if not layer:
            row["empty_layer"] = True
        if self.epoch is not None:
            row["created"] = rfc3339nano(self.epoch * _NS)
        self.history.append(row)

    def set_platform(self, platform: Platform, explicit: bool) -> None:
        """Say what the image runs on."""
        if explicit or not self.data.get("architecture"):
            same = (platform.os, platform.architecture) == (self.data.get("os"), self.data.get("architecture"))
            self.data["os"], self.data["architecture"] = platform.os, platform.architecture
            if platform.variant or not same:
                self.data["variant"] = platform.variant
        if not self.data.get("variant"):
            self.data.pop("variant", None)

    def finished(self) -> dict[str, Any]:
        """The whole config, without what is not set."""
        for key in [key for key, value in self.config.items() if value is None]:
            del self.config[key]
        return self.data


def words(items: list[str] | tuple[str, ...]) -> str:
    """Go's `%q` of a list."""
    return "[" + " ".join(go_quote(item) for item in items) + "]"


def health_text(health: Mapping[str, Any]) -> str:
    """Go's `%+v` of a health check."""
    times = " ".join(f"{name}:{format_duration(health.get(name) or 0)}" for name in ("Interval", "Timeout", "StartPeriod", "StartInterval"))
    return f"{{Test:[{' '.join(health.get('Test') or [])}] {times} Retries:{health.get('Retries') or 0}}}"
