"""What a swarm has of a stack: its objects by label, and what of a service the files do not say. Called by `deploy.py` and `diff.py`."""

from __future__ import annotations

from scow.client.api import filters_param
from scow.compose.stack.convert import NAMESPACE
from scow.opts import autoscale

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli


def of_stack(cli: Cli, kind: str, stack: str) -> list[dict[str, Any]]:
    """Objects of a stack: `kind` is services, networks, secrets or configs."""
    found: list[dict[str, Any]] = cli.client.get(f"/{kind}", {"filters": filters_param({"label": {f"{NAMESPACE}={stack}": True}})}) or []
    return found


def name_of(one: dict[str, Any]) -> str:
    """The name of an object of any kind."""
    return str((one.get("Spec") or {}).get("Name") or one.get("Name") or "")


def keep_scaled(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """Leaves a service that its load scales at the number it has: the file's is where it began. 0 was set by hand, the file ends it."""
    if not any(key.startswith(autoscale.PREFIX) for key in spec.get("Labels") or {}):
        return
    wanted = (spec.get("Mode") or {}).get("Replicated")
    number = ((before.get("Mode") or {}).get("Replicated") or {}).get("Replicas")
    if wanted is not None and number:
        wanted["Replicas"] = number
