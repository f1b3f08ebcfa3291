"""`scow service create`, `update`, `scale`, `rollback`, `rm` and `rebalance`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, ExitCode, daemon_error, each
from scow.cli.commands.service import flags, requests
from scow.client.api import quote
from scow.client.transport import ApiError
from scow.errors import ScowError

_TRIES = 5
_STALE = "update out of sequence"


def fetch(cli: Cli, name: str) -> dict[str, Any]:
    """A service as it was written, without defaults. Raises ApiError."""
    found: dict[str, Any] = cli.client.get(f"/services/{quote(name)}", {"insertDefaults": "false"})
    return found


def _wait(cli: Cli, options: Options, service: str) -> int:
    if options.flag("detach"):
        return 0
    from scow.cli.commands.service.progress import wait

    return wait(cli, service, options.flag("quiet"))


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes a service, prints its id and waits until it has converged."""
    from scow.cli.commands.service.spec import build, resolve_spec

    spec = build(options, args, lambda name: cli.environ().get(name))
    resolve_spec(cli, spec)
    ident = requests.create(cli, spec, not options.flag("no-resolve-image"), options.flag("with-registry-auth"))
    cli.out(ident + "\n")
    cli.flush()
    return _wait(cli, options, ident)


def update(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes a service and waits until it has converged."""
    from scow.cli.commands.service.change import apply, check

    check(options)
    rollback = options.flag("rollback")
    if rollback:
        service = fetch(cli, args[0])
        if options.names - {"rollback", "detach", "quiet"}:
            raise ScowError("other flags may not be combined with --rollback")
        return _roll_back(cli, options, args[0], service, "spec")
    resolve = options.given("image") and not options.flag("no-resolve-image")

    def write(service: dict[str, Any]) -> list[str]:
        apply(cli, options, service["Spec"])
        return requests.update(cli, service, service["Spec"], resolve, options.flag("with-registry-auth"), False, "spec")

    requests.warn(cli, _again(cli, args[0], write))
    cli.out(args[0] + "\n")
    cli.flush()
    return _wait(cli, options, args[0])


def _again(cli: Cli, name: str, write: Callable[[dict[str, Any]], list[str]]) -> list[str]:
    """Does to a service as it is now what `write` does, once more where another (its load, say) has changed it meanwhile. The flags of this
    client say what is to be different, so they hold for the newer spec, too. Raises ApiError."""
    for _ in range(_TRIES - 1):
        try:
            return write(fetch(cli, name))
        except ApiError as exc:
            if _STALE not in exc.message:
                raise
    return write(fetch(cli, name))


def _roll_back(cli: Cli, options: Options, name: str, service: dict[str, Any], auth_from: str = "") -> int:
    requests.warn(cli, requests.update(cli, service, service["Spec"], rollback=True, auth_from=auth_from))
    cli.out(name + "\n")
    cli.flush()
    return _wait(cli, options, name)


def rollback(cli: Cli, options: Options, args: list[str]) -> int:
    """Goes back to a service's previous spec and waits until it has converged."""
    return _roll_back(cli, options, args[0], fetch(cli, args[0]))


def scale(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes the number of tasks of services."""
    wanted = []
    for word in args:
        name, sep, count = word.partition("=")
        if not sep or not name or not count:
            raise ScowError(
                f"invalid scale specifier '{word}'.\nSee 'scow service scale --help'.\n\nUsage:  scow service scale{SCALE.usage}\n\n"
                f"{SCALE.short}"
            )
        wanted.append((name, count))
    errors, scaled = [], []
    for name, count in wanted:
        try:
            number = _replicas(count)

            def write(service: dict[str, Any], number: int = number) -> list[str]:
                _scale(service["Spec"], number)
                return requests.update(cli, service, service["Spec"])

            requests.warn(cli, _again(cli, name, write))
        except ApiError as exc:
            errors.append(f"{name}: {daemon_error(exc.message)}")
        except ScowError as exc:
            errors.append(f"{name}: {exc.message}")
        else:
            cli.out(f"{name} scaled to {number}\n")
            cli.flush()
            scaled.append(name)
    return _wait_each(cli, options, scaled, errors)


def _wait_each(cli: Cli, options: Options, names: list[str], errors: list[str]) -> int:
    """The end of a change of several services. Raises ExitCode(1) with `errors`, the sentences so far, and those of the waiting."""
    for name in names:
        try:
            _wait(cli, options, name)
        except ScowError as exc:
            errors.append(f"{name}: {exc.message}")
    if errors:
        raise ExitCode(1, "\n".join(errors))
    return 0


def _replicas(text: str) -> int:
    """A number of replicas. Raises ScowError."""
    if not text.isascii() or not text.isdigit():
        raise ScowError(f'invalid replicas value {text}: strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text[:24]) >= 1 << 64:
        raise ScowError(f'invalid replicas value {text}: strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _scale(spec: dict[str, Any], number: int) -> None:
    mode = spec.get("Mode") or {}
    if mode.get("Replicated") is not None:
        mode["Replicated"]["Replicas"] = number
    elif mode.get("ReplicatedJob") is not None:
        mode["ReplicatedJob"]["TotalCompletions"] = number
    else:
        raise ScowError("scale can only be used with replicated or replicated-job mode")


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes services."""
    return each(cli, args, lambda name: cli.client.delete(f"/services/{quote(name)}"))


def rebalance(cli: Cli, options: Options, args: list[str]) -> int:
    """Spreads the tasks of services over the nodes again, if they stand unevenly; by a forced update, so its rules hold."""
    from scow.cli.commands.service.balance import check, uneven

    errors, moved = [], []
    nodes = cli.client.get("/nodes") or []
    for name in args:
        try:
            service = fetch(cli, name)
            check(service, options.flag("force"))
            why = uneven(cli, service, nodes)
            if not why and not options.flag("force"):
                cli.out(f"{name} is balanced\n")
                continue
            if options.flag("dry-run"):
                cli.out(f"{name} would be rebalanced: {why or 'forced'}\n")
                continue
            task = service["Spec"].setdefault("TaskTemplate", {})
            task["ForceUpdate"] = (task.get("ForceUpdate") or 0) + 1
            requests.warn(cli, requests.update(cli, service, service["Spec"], auth_from="spec"))
        except ApiError as exc:
            errors.append(f"{name}: {daemon_error(exc.message)}")
        except ScowError as exc:
            errors.append(exc.message)
        else:
            cli.out(f"{name} is being rebalanced: {why or 'forced'}\n")
            cli.flush()
            moved.append(name)
    return _wait_each(cli, options, moved, errors)


CREATE = Command(" [OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new service", flags.CREATE, create, 1, -1, False)
UPDATE = Command(" [OPTIONS] SERVICE", "Update a service", flags.UPDATE, update, 1, 1)
SCALE = Command(" SERVICE=REPLICAS [SERVICE=REPLICAS...]", "Scale one or multiple replicated services", (flags.DETACH,), scale, 1)
ROLLBACK = Command(" [OPTIONS] SERVICE", "Revert changes to a service's configuration", (flags.DETACH, flags.QUIET), rollback, 1, 1)
RM = Command(" SERVICE [SERVICE...]", "Remove one or more services", (), rm, 1)
REBALANCE = Command(
    " [OPTIONS] SERVICE [SERVICE...]",
    "Spread the tasks of services over the nodes again",
    (
        flags.DETACH,
        flags.QUIET,
        ("dry-run", "", "bool", False, "Only say what would be done"),
        ("force", "", "bool", False, "Replace the tasks of balanced services, too"),
    ),
    rebalance,
    1,
)
