"""`scow swarm init`, `join`, `join-token`, `leave`, `update`, `unlock` and `unlock-key`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options

from scow.cli.command import Command, daemon_error
from scow.cli.flags import UsageError, every
from scow.client.api import quote
from scow.client.transport import ApiError
from scow.errors import ScowError
from scow.opts import swarm as words

AVAILABILITIES = ("active", "pause", "drain")
_MASK = 24
_UNLOCK_TEXT = """To unlock a swarm manager after it restarts, run the `scow swarm unlock`
command and provide the following key:

    {key}

Remember to store this key in a password manager, since without it you
will not be able to restart the manager.
"""
_SPEC_FLAGS: tuple[Flag, ...] = (
    ("cert-expiry", "", "duration", 0, "How long certificates of nodes are valid (ns|us|ms|s|m|h) (default 2160h0m0s)"),
    ("dispatcher-heartbeat", "", "duration", 0, "Period of the nodes' signs of life (ns|us|ms|s|m|h) (default 5s)"),
    ("external-ca", "", "external-ca", (), "Address of an external authority that signs certificates"),
    ("max-snapshots", "", "uint", 0, "Number of older Raft snapshots to keep"),
    ("snapshot-interval", "", "uint", 0, "Log entries between Raft snapshots (default 10000)"),
    ("task-history-limit", "", "int", 0, "How many old tasks are kept (default 5)"),
)


def external_cas(options: Options) -> list[dict[str, Any]]:
    """ExternalCAs of the flags. Raises UsageError."""
    return every("--external-ca", options.list("external-ca"), words.parse_external_ca)


def merge(spec: dict[str, Any], options: Options) -> None:
    """Puts what the flags say into a swarm's spec."""
    cas = external_cas(options)
    if options.given("task-history-limit"):
        spec.setdefault("Orchestration", {})["TaskHistoryRetentionLimit"] = options.number("task-history-limit")
    if options.given("dispatcher-heartbeat"):
        spec.setdefault("Dispatcher", {})["HeartbeatPeriod"] = options.number("dispatcher-heartbeat")
    if options.given("cert-expiry"):
        spec.setdefault("CAConfig", {})["NodeCertExpiry"] = options.number("cert-expiry")
    if cas:
        spec.setdefault("CAConfig", {})["ExternalCAs"] = cas
    if options.given("max-snapshots"):
        spec.setdefault("Raft", {})["KeepOldSnapshots"] = options.number("max-snapshots")
    if options.given("snapshot-interval"):
        spec.setdefault("Raft", {})["SnapshotInterval"] = options.number("snapshot-interval")
    if options.given("autolock"):
        spec.setdefault("EncryptionConfig", {})["AutoLockManagers"] = options.flag("autolock")


def update_swarm(cli: Cli, swarm: dict[str, Any], spec: dict[str, Any], **rotate: bool) -> None:
    """Writes a swarm's spec. Raises ApiError."""
    version = (swarm.get("Version") or {}).get("Index") or 0
    flags = {key: "true" if rotate.get(key) else "false" for key in ("rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey")}
    cli.client.call("POST", "/swarm/update", {"version": version, **flags}, spec).read()


def _availability(options: Options) -> str:
    """What the flag says; "" where it is not there. Raises ScowError."""
    if not options.given("availability"):
        return ""
    text = options.text("availability").lower()
    if text not in AVAILABILITIES:
        raise ScowError(f'invalid availability "{options.text("availability")}", only active, pause and drain are supported')
    return text


def _listen(options: Options) -> str:
    return str(every("--listen-addr", [options.text("listen-addr")], words.listen_address)[0])


def init(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes this engine the first manager of a swarm; says how others join."""
    spec: dict[str, Any] = {"Labels": None, "EncryptionConfig": {"AutoLockManagers": options.flag("autolock")}}
    merge(spec, options)
    pools = [pool for found in every("--default-addr-pool", options.list("default-addr-pool"), words.parse_pool) for pool in found]
    mask = options.number("default-addr-pool-mask-length")
    if options.number("data-path-port") >= 1 << 32:
        raise UsageError(f'invalid argument "{options.number("data-path-port")}" for "--data-path-port" flag: value out of range')
    body = {
        "ListenAddr": _listen(options),
        "AdvertiseAddr": options.text("advertise-addr"),
        "DataPathAddr": options.text("data-path-addr"),
        "DataPathPort": options.number("data-path-port"),
        "DefaultAddrPool": pools or None,
        "ForceNewCluster": options.flag("force-new-cluster"),
        "Spec": spec,
        "AutoLockManagers": options.flag("autolock"),
        "Availability": _availability(options),
        "SubnetSize": mask or _MASK,
    }
    try:
        node = cli.client.post("/swarm/init", None, body)
    except ApiError as error:
        if any(sign in str(error) for sign in _NO_ADDRESS):
            raise ScowError(f"{daemon_error(str(error))} - specify one with --advertise-addr") from None
        raise
    cli.out(f"Swarm initialized: current node ({node}) is now a manager.\n\n")
    cli.flush()
    _join_command(cli, str(node), "Worker")
    cli.out("To add a manager to this swarm, run 'scow swarm join-token manager' and follow the instructions.\n")
    if options.flag("autolock"):
        key = (cli.client.get("/swarm/unlockkey") or {}).get("UnlockKey") or ""
        cli.out(_UNLOCK_TEXT.format(key=key))
    return 0


_NO_ADDRESS = ("could not choose an IP address to advertise", "could not find the system's IP address")


def _join_command(cli: Cli, node: str, role: str) -> None:
    """Prints what to run on a machine that is to join: in docker's words, which scripts look for and scow takes as well."""
    swarm = cli.client.get("/swarm")
    facts = cli.client.get(f"/nodes/{quote(node)}")
    address = (facts.get("ManagerStatus") or {}).get("Addr") or ""
    if not facts.get("ManagerStatus"):
        return
    token = (swarm.get("JoinTokens") or {}).get(role) or ""
    cli.out(f"To add a {role.lower()} to this swarm, run the following command:\n\n    docker swarm join --token {token} {address}\n\n")
    cli.out("(`scow swarm join` takes the same words.)\n\n")


def join(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes this engine a node of a swarm."""
    body = {
        "JoinToken": options.text("token"),
        "ListenAddr": _listen(options),
        "AdvertiseAddr": options.text("advertise-addr"),
        "DataPathAddr": options.text("data-path-addr"),
        "RemoteAddrs": [args[0]],
        "Availability": _availability(options),
    }
    cli.client.call("POST", "/swarm/join", None, body).read()
    info = cli.client.get("/info")
    role = "manager" if (info.get("Swarm") or {}).get("ControlAvailable") else "worker"
    cli.out(f"This node joined a swarm as a {role}.\n")
    return 0


def join_token(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows, or renews, what a node needs to join."""
    role = args[0]
    if role not in ("worker", "manager"):
        raise ScowError(f"unknown role {role}")
    quiet = options.flag("quiet")
    if options.flag("rotate"):
        swarm = cli.client.get("/swarm")
        update_swarm(cli, swarm, swarm.get("Spec") or {}, rotateWorkerToken=role == "worker", rotateManagerToken=role == "manager")
        if not quiet:
            cli.out(f"Successfully rotated {role} join token.\n\n")
    if quiet:
        cli.out(f"{(cli.client.get('/swarm').get('JoinTokens') or {}).get(role.title()) or ''}\n")
        return 0
    info = cli.client.get("/info")
    _join_command(cli, (info.get("Swarm") or {}).get("NodeID") or "", role.title())
    return 0


def leave(cli: Cli, options: Options, args: list[str]) -> int:
    """Takes this node out of its swarm."""
    cli.client.call("POST", "/swarm/leave", {"force": options.flag("force")}).read()
    cli.out("Node left the swarm.\n")
    return 0


def update(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes the swarm's settings."""
    external_cas(options)
    if not options.names:
        from scow.cli.helping import command

        cli.out(command(UPDATE, "swarm update", "Usage:  scow swarm update [OPTIONS]"))
        return 0
    swarm = cli.client.get("/swarm")
    spec = swarm.get("Spec") or {}
    locked = (spec.get("EncryptionConfig") or {}).get("AutoLockManagers")
    merge(spec, options)
    update_swarm(cli, swarm, spec)
    cli.out("Swarm updated.\n")
    if options.flag("autolock") and not locked:
        cli.out(_UNLOCK_TEXT.format(key=(cli.client.get("/swarm/unlockkey") or {}).get("UnlockKey") or ""))
    return 0


def unlock(cli: Cli, options: Options, args: list[str]) -> int:
    """Opens a locked manager with the key that is typed, or comes on standard input."""
    swarm = cli.client.get("/info").get("Swarm") or {}
    state = swarm.get("LocalNodeState") or ""
    if state == "inactive":
        raise ScowError("Error: This node is not part of a swarm")
    if state != "locked":
        raise ScowError("Error: swarm is not locked")
    from scow.cli.terminal import is_terminal

    if is_terminal(0):
        import getpass

        key = getpass.getpass("Please enter unlock key: ")
    else:
        import sys

        key = sys.stdin.readline(4096)
    cli.client.call("POST", "/swarm/unlock", None, {"UnlockKey": key.strip()}).read()
    return 0


def unlock_key(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows, or renews, the key of locked managers."""
    quiet = options.flag("quiet")
    if options.flag("rotate"):
        swarm = cli.client.get("/swarm")
        spec = swarm.get("Spec") or {}
        if not (spec.get("EncryptionConfig") or {}).get("AutoLockManagers"):
            raise ScowError("cannot rotate because autolock is not turned on")
        update_swarm(cli, swarm, spec, rotateManagerUnlockKey=True)
        if not quiet:
            cli.out("Successfully rotated manager unlock key.\n\n")
    key = (cli.client.get("/swarm/unlockkey") or {}).get("UnlockKey") or ""
    if not key:
        raise ScowError("no unlock key is set")
    cli.out(f"{key}\n" if quiet else _UNLOCK_TEXT.format(key=key))
    return 0


_ADDRESSES: tuple[Flag, ...] = (
    ("advertise-addr", "", "string", "", "Address that other nodes use (<ip|interface>[:port])"),
    ("availability", "", "string", "active", 'Availability of the node ("active", "pause", "drain")'),
    ("data-path-addr", "", "string", "", "Address or interface of the containers' traffic"),
    ("listen-addr", "", "string", "0.0.0.0:2377", "Address to listen on (<ip|interface>[:port])"),
)
INIT = Command(
    " [OPTIONS]",
    "Initialize a swarm",
    (
        *_ADDRESSES,
        *_SPEC_FLAGS,
        ("autolock", "", "bool", False, "Lock managers: a restarted one waits for the unlock key"),
        ("data-path-port", "", "uint", 0, "Port of the containers' traffic (1024 - 49151), 0 for 4789"),
        ("default-addr-pool", "", "list", (), "Address pools in CIDR form"),
        ("default-addr-pool-mask-length", "", "uint", 24, "Length of the mask of subnets out of the pools"),
        ("force-new-cluster", "", "bool", False, "Make a new swarm of this node's state"),
    ),
    init,
    0,
    0,
)
JOIN = Command(
    " [OPTIONS] HOST:PORT",
    "Join a swarm as a node and/or manager",
    (*_ADDRESSES, ("token", "", "string", "", "Token that lets a node in")),
    join,
    1,
    1,
)
_QUIET: Flag = ("quiet", "q", "bool", False, "Print only the token")
JOIN_TOKEN = Command(
    " [OPTIONS] (worker|manager)",
    "Manage join tokens",
    (_QUIET, ("rotate", "", "bool", False, "Make a new token")),
    join_token,
    1,
    1,
)
LEAVE = Command(" [OPTIONS]", "Leave the swarm", (("force", "f", "bool", False, "Leave in spite of warnings"),), leave, 0, 0)
UPDATE = Command(
    " [OPTIONS]",
    "Update the swarm",
    (*_SPEC_FLAGS, ("autolock", "", "bool", False, "Lock managers (true|false)")),
    update,
    0,
    0,
)
UNLOCK = Command("", "Unlock swarm", (), unlock, 0, 0)
UNLOCK_KEY = Command(
    " [OPTIONS]",
    "Manage the unlock key",
    (_QUIET, ("rotate", "", "bool", False, "Make a new key")),
    unlock_key,
    0,
    0,
)
