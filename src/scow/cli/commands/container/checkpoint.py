"""`scow checkpoint create`, `ls` and `rm`: for engines with experimental features (`cli/gates.py` asks)."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.client.api import container_path, quote


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Saves a running container's state."""
    body = {"CheckpointID": args[1], "CheckpointDir": options.text("checkpoint-dir"), "Exit": not options.flag("leave-running")}
    cli.client.post(container_path(args[0], "checkpoints"), None, body)
    cli.out(args[1] + "\n")
    return 0


def ls(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists a container's checkpoints."""
    found = cli.client.get(container_path(args[0], "checkpoints"), {"dir": options.text("checkpoint-dir") or None}) or []
    cli.out("CHECKPOINT NAME\n" + "".join(f"{one.get('Name')}\n" for one in found))
    return 0


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes a checkpoint."""
    path = f"{container_path(args[0], 'checkpoints')}/{quote(args[1])}"
    cli.client.delete(path, {"dir": options.text("checkpoint-dir") or None})
    return 0


_DIR = ("checkpoint-dir", "", "string", "", "Folder of the checkpoints")
CREATE = Command(
    " [OPTIONS] CONTAINER CHECKPOINT",
    "Create a checkpoint from a running container",
    (_DIR, ("leave-running", "", "bool", False, "Don't stop the container")),
    create,
    2,
    2,
)
LS = Command(" [OPTIONS] CONTAINER", "List checkpoints for a container", (_DIR,), ls, 1, 1)
RM = Command(" [OPTIONS] CONTAINER CHECKPOINT", "Remove a checkpoint", (_DIR,), rm, 2, 2)
