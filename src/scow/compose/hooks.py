"""`post_start` and `pre_stop`: commands in a service's container. Called by `execute/containers.py` and `commands/watch.py`."""

from __future__ import annotations

from scow.client.api import Client, container_path
from scow.compose.model.service import Hook
from scow.errors import ScowError


def run(client: Client, container: str, hook: Hook, service: str) -> None:
    """Runs one hook to its end. Raises ScowError where it fails."""
    body = {
        "Cmd": list(hook.command or ()),
        "User": hook.user,
        "Privileged": hook.privileged,
        "WorkingDir": hook.working_dir,
        "Env": [name if value is None else f"{name}={value}" for name, value in hook.environment.items()],
        "AttachStdout": True,
        "AttachStderr": True,
    }
    ident = client.post(container_path(container, "exec"), None, body)["Id"]
    with client.call("POST", f"/exec/{ident}/start", None, {"Detach": False, "Tty": False}) as response:
        for _ in response.iterate():
            pass
    code = client.get(f"/exec/{ident}/json").get("ExitCode")
    if code:
        raise ScowError(f"{service} hook exited with status {code}")
