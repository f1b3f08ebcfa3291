"""`scow stack deploy`, `rm` and `config`."""

from __future__ import annotations

from scow.cli.command import Command, ExitCode, daemon_error
from scow.cli.commands.service import flags, requests
from scow.cli.commands.service.spec import resolve
from scow.client.api import filters_param, quote
from scow.client.transport import ApiError
from scow.compose.stack.convert import IMAGE, NAMESPACE, Stack, check_name
from scow.compose.stack.files import project, warnings
from scow.compose.stack.objects import keep_scaled, name_of, of_stack
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options


RESOLVE = ("always", "changed", "never")
KINDS = ("services", "secrets", "configs", "networks")
BACKGROUND = (
    "Since --detach=false was not specified, tasks will be created in the background.\n"
    "In a future release, --detach=false will become the default.\n"
)
EVERY, PATIENCE = 0.5, 600  # seconds between two looks at what is being removed, and for how long


def deploy(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes a stack of compose files, or changes it."""
    check_name(args[0])
    if options.text("resolve-image") not in RESOLVE:
        raise ScowError(f"Invalid option {options.text('resolve-image')} for flag --resolve-image")
    found = project(cli, options.list("compose-file"))
    stack = Stack(args[0], found)
    if options.flag("dry-run"):
        from scow.compose.stack.diff import fails, text

        cli.err(warnings(found))
        _manager(cli)
        _externals(cli, stack)
        shown = text(cli, stack, options.flag("prune"))
        cli.out(shown or "Nothing would change.\n")
        return 1 if fails(shown) else 0
    cli.err(warnings(found))
    if not options.given("detach") and not options.flag("quiet"):
        cli.err(BACKGROUND)
    _manager(cli)
    _externals(cli, stack)
    if options.flag("prune"):
        for one in of_stack(cli, "services", stack.name):
            if name_of(one) not in stack.services:
                cli.out(f"Removing service {name_of(one)}\n")
                cli.client.delete(f"/services/{quote(one['ID'])}")
    _networks(cli, stack)
    for kind in ("secrets", "configs"):
        _objects(cli, kind, getattr(stack, kind))
    ids = _services(cli, stack, options)
    if options.flag("detach"):
        return 0
    from scow.cli.commands.service.progress import wait

    for ident in ids:
        wait(cli, ident, options.flag("quiet"))
    return 0


def _manager(cli: Cli) -> None:
    swarm = (cli.client.get("/info") or {}).get("Swarm") or {}
    if not swarm.get("ControlAvailable"):
        raise ScowError(
            'this node is not a swarm manager. Use "scow swarm init" or "scow swarm join" to connect this node to swarm and try again'
        )


def _externals(cli: Cli, stack: Stack) -> None:
    """Raises ScowError where something that others are to have made is not there."""
    for name in stack.external["networks"]:
        if name in ("host", "none", "bridge"):
            continue
        try:
            network = cli.client.get(f"/networks/{quote(name)}")
        except ApiError as exc:
            if exc.status != 404:
                raise
            raise ScowError(
                f'network "{name}" is declared as external, but could not be found. You need to create a swarm-scoped network before the '
                "stack is deployed"
            ) from None
        if network.get("Scope") != "swarm":
            raise ScowError(
                f'network "{name}" is declared as external, but it is not in the right scope: "{network.get("Scope")}" instead of "swarm"'
            )
    for kind in ("secrets", "configs"):
        for name in stack.external[kind]:
            try:
                cli.client.get(f"/{kind}/{quote(name)}")
            except ApiError as exc:
                if exc.status != 404:
                    raise
                raise ScowError(f"{kind[:-1]} not found: {name}") from None


def _networks(cli: Cli, stack: Stack) -> None:
    there = {name_of(one) for one in of_stack(cli, "networks", stack.name)}
    for name, body in stack.networks.items():
        if name in there:
            continue
        cli.out(f"Creating network {name}\n")
        try:
            cli.client.post("/networks/create", None, {"Name": name, **body})
        except ApiError as exc:
            raise ScowError(f"failed to create network {name}: {daemon_error(exc.message)}") from None


def _objects(cli: Cli, kind: str, wanted: dict[str, dict[str, Any]]) -> None:
    """Makes secrets or configs; those that are there get their labels (their content can't change, which the engine says)."""
    for name, body in wanted.items():
        try:
            there = cli.client.get(f"/{kind}/{quote(name)}")
        except ApiError as exc:
            if exc.status != 404:
                raise
            cli.out(f"Creating {kind[:-1]} {name}\n")
            cli.client.post(f"/{kind}/create", None, body)
            continue
        version = (there.get("Version") or {}).get("Index") or 0
        try:
            cli.client.call("POST", f"/{kind}/{quote(there['ID'])}/update", {"version": version}, body).read()
        except ApiError as exc:
            raise ScowError(f"failed to update {kind[:-1]} {name}: {daemon_error(exc.message)}") from None


def resolved(cli: Cli, spec: dict[str, Any]) -> None:
    """Puts the ids of secrets and configs into a spec."""
    container = spec["TaskTemplate"]["ContainerSpec"]
    for kind, key in (("secret", "Secrets"), ("config", "Configs")):
        if container.get(key):
            resolve(cli, kind, container[key])
    credentials = (container.get("Privileges") or {}).get("CredentialSpec") or {}
    if credentials.get("Config"):
        made = resolve(cli, "config", [{"ConfigName": credentials["Config"], "ConfigID": ""}])[0]
        credentials["Config"] = made["ConfigID"]
        container.setdefault("Configs", []).append({"Runtime": {}, **made})


def _services(cli: Cli, stack: Stack, options: Options) -> list[str]:
    """Makes and changes the services; their ids."""
    with_auth, how = options.flag("with-registry-auth"), options.text("resolve-image")
    there = {name_of(one): one for one in of_stack(cli, "services", stack.name)}
    ids = []
    for name, spec in stack.services.items():
        resolved(cli, spec)
        container = spec["TaskTemplate"]["ContainerSpec"]
        image = container["Image"]
        old = there.get(name)
        try:
            if old is None:
                cli.out(f"Creating service {name}\n")
                cli.flush()
                ids.append(requests.create(cli, spec, how in ("always", "changed"), with_auth))
                continue
            cli.out(f"Updating service {name} (id: {old['ID']})\n")
            cli.flush()
            before = old["Spec"]
            keep_scaled(spec, before)
            changed = image != (before.get("Labels") or {}).get(IMAGE)
            ask = how == "always" or (how == "changed" and changed)
            if not ask and not changed:
                # the digest that was found when it was deployed stays
                container["Image"] = before["TaskTemplate"]["ContainerSpec"]["Image"]
            spec["TaskTemplate"]["ForceUpdate"] = (before.get("TaskTemplate") or {}).get("ForceUpdate") or 0
            requests.warn(cli, requests.update(cli, old, spec, ask, with_auth))
            ids.append(old["ID"])
        except ApiError as exc:
            verb = "create" if old is None else "update"
            raise ScowError(f"failed to {verb} service {name}: {daemon_error(exc.message)}") from None
    return ids


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes stacks: services, secrets, configs and networks; volumes stay."""
    errors = []
    for stack in args:
        check = {kind: of_stack(cli, kind, stack) for kind in KINDS}
        if not any(check.values()):
            cli.err(f"Nothing found in stack: {stack}\n")
            continue
        failed = False
        for kind in KINDS:
            for one in sorted(check[kind], key=name_of):
                failed |= not _remove(cli, kind, one)
        if failed:
            errors.append(f"Failed to remove some resources from stack: {stack}")
        elif not options.flag("detach"):
            _gone(cli, stack)
    if errors:
        raise ExitCode(1, "\n".join(errors))
    return 0


def _remove(cli: Cli, kind: str, one: dict[str, Any]) -> bool:
    """Removes an object; False, with a sentence, where it can't be."""
    cli.out(f"Removing {kind[:-1]} {name_of(one)}\n")
    cli.flush()
    ident = one.get("ID") or one.get("Id") or ""
    try:
        cli.client.delete(f"/{kind}/{quote(ident)}")
    except ApiError as exc:
        if exc.status == 404:
            return True
        cli.err(f"Failed to remove {kind[:-1]} {ident}: {daemon_error(exc.message)}\n")
        return False
    return True


def _gone(cli: Cli, stack: str) -> None:
    """Waits until no task of a stack is left."""
    import time

    end = time.monotonic() + PATIENCE
    wanted = {"label": {f"{NAMESPACE}={stack}": True}}
    while time.monotonic() < end:
        tasks = cli.client.get("/tasks", {"filters": filters_param(wanted)}) or []
        if not [
            one for one in tasks if (one.get("Status") or {}).get("State") not in ("complete", "shutdown", "failed", "rejected", "orphaned")
        ]:
            return
        time.sleep(EVERY)
    raise ScowError(f"tasks of stack {stack} still run after {PATIENCE} seconds")


def config(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the files of a stack as one."""
    from scow.compose import documents, emit

    found = project(cli, options.list("compose-file"), not options.flag("skip-interpolation"))
    document = documents.of_project(found)
    document.pop("name", None)
    cli.out(emit.yaml(document))
    return 0


def diff(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows what `stack deploy` would change; status 1 where that is anything, 2 where it can't be told or deploying would fail."""
    from scow.compose.stack.diff import fails, text

    try:
        stack = Stack(args[0], project(cli, options.list("compose-file")))
        _manager(cli)
        _externals(cli, stack)
        shown = text(cli, stack, options.flag("prune"))
    except ExitCode as exc:
        raise ExitCode(2, exc.message) from None
    cli.out(shown)
    return 2 if fails(shown) else 1 if shown else 0


COMPOSE_FILE: Flag = ("compose-file", "c", "strings", (), 'Compose file, or "-" for standard input')
PRUNE: Flag = ("prune", "", "bool", False, "Remove services that the files no longer name")
DEPLOY = Command(
    " [OPTIONS] STACK",
    "Deploy a new stack or update an existing stack",
    (
        COMPOSE_FILE,
        ("detach", "d", "bool", True, "Don't wait until the services have converged"),
        ("dry-run", "", "bool", False, "Only show what would change"),
        PRUNE,
        flags.QUIET,
        ("resolve-image", "", "string", "always", 'When the registry is asked for digests ("always", "changed", "never")'),
        ("with-registry-auth", "", "bool", False, "Send the registry's credentials to the nodes"),
    ),
    deploy,
    1,
    1,
)
RM = Command(
    " [OPTIONS] STACK [STACK...]",
    "Remove one or more stacks",
    (("detach", "d", "bool", True, "Don't wait until the tasks are gone"),),
    rm,
    1,
)
CONFIG = Command(
    " [OPTIONS]",
    "Print the final config file, after doing merges and interpolations",
    (COMPOSE_FILE, ("skip-interpolation", "", "bool", False, "Leave variables as they are")),
    config,
    0,
    0,
)
DIFF = Command(" [OPTIONS] STACK", "Show what a deployment would change", (COMPOSE_FILE, PRUNE), diff, 1, 1, error_code=2)
