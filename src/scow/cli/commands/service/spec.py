"""A service's spec of the flags of `service create`; names of networks, secrets and configs become ids."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.flags import UsageError, every
from scow.client.api import filters_param, quote
from scow.errors import ScowError
from scow.opts import swarm as words

UPDATE_DEFAULTS = {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0, "Order": "stop-first"}
RESTART_DEFAULTS = {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0}
UPDATE_KEYS = {
    "parallelism": "Parallelism",
    "delay": "Delay",
    "monitor": "Monitor",
    "failure-action": "FailureAction",
    "max-failure-ratio": "MaxFailureRatio",
    "order": "Order",
}
RESTART_KEYS = {"condition": "Condition", "delay": "Delay", "max-attempts": "MaxAttempts", "window": "Window"}
HEALTH_KEYS = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
    "health-retries": "Retries",
}
HEALTH = (*HEALTH_KEYS, "health-cmd")


def split(options: Options, flag: str) -> list[str]:
    """The words of a command line in one flag. Raises UsageError."""
    text = options.text(flag)
    if not text:
        return []
    import shlex

    try:
        return shlex.split(text)
    except ValueError as exc:
        raise UsageError(f'invalid argument "{text}" for "--{flag}" flag: {exc}') from None


def value(options: Options, flag: str) -> Any:
    """A flag's value, whatever its kind."""
    return options.text(flag) or options.number(flag) or options.fraction(flag)


def policy(options: Options, kind: str, keys: dict[str, str], into: dict[str, Any]) -> None:
    """Puts flags as `update-delay` into a policy."""
    for flag, key in keys.items():
        if options.given(f"{kind}-{flag}"):
            into[key] = value(options, f"{kind}-{flag}") or ("" if key in ("Condition", "FailureAction", "Order") else 0)


def any_given(options: Options, kind: str, keys: Iterable[str]) -> bool:
    """Whether one of the flags `<kind>-<key>` is there."""
    return any(options.given(f"{kind}-{key}") for key in keys)


def health(options: Options, check: dict[str, Any]) -> None:
    """Puts the health flags into a check. Raises ScowError."""
    for flag, key in HEALTH_KEYS.items():
        if options.given(flag):
            if flag != "health-retries" and options.number(flag) < 0:
                raise UsageError(f'invalid argument "{_shown(options.number(flag))}" for "--{flag}" flag: duration cannot be negative')
            check[key] = options.number(flag)
    if options.text("health-cmd"):
        check["Test"] = ["CMD-SHELL", options.text("health-cmd")]


def _shown(duration: int) -> str:
    from scow.units import format_duration

    return format_duration(duration)


def check_health(options: Options) -> None:
    """Raises ScowError where health is checked and not checked."""
    if options.flag("no-healthcheck") and any(options.given(flag) for flag in HEALTH):
        raise ScowError("--no-healthcheck conflicts with --health-* options")


def pairs(label: str, found: list[str], check: Callable[[str], str] | None = None) -> dict[str, str]:
    """`key=value` words as a dict."""
    from scow.opts.env import mapping

    return mapping(every(label, found, check) if check else found, label.strip("-"))


def ulimits(label: str, found: list[str]) -> list[dict[str, Any]]:
    """The API's Ulimits."""
    from scow.opts.ulimits import parse

    return [{"Name": name, "Hard": hard, "Soft": soft} for name, soft, hard in every(label, found, parse)]


def hosts(label: str, found: list[str]) -> list[str]:
    """`host:ip` words as lines of /etc/hosts."""
    from scow.opts.networks import parse_host

    made = []
    for word in every(label, found, parse_host):
        name, _, address = word.partition(":")
        made.append(f"{address} {name}")
    return made


def attachments(label: str, found: list[str]) -> list[dict[str, Any]]:
    """Network attachments, by name yet."""
    from scow.opts.networks import parse_network

    made = []
    for flag in every(label, found, parse_network):
        one: dict[str, Any] = {"Target": flag.target}
        if flag.aliases:
            one["Aliases"] = list(flag.aliases)
        if flag.driver_opts:
            one["DriverOpts"] = dict(flag.driver_opts)
        made.append(one)
    return made


def resolve_networks(cli: Cli, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Attachments by id, in the order of their ids. Raises ApiError."""
    for one in found:
        one["Target"] = cli.client.get(f"/networks/{quote(one['Target'])}", {"scope": "swarm"})["Id"]
    return sorted(found, key=lambda one: str(one["Target"]))


def resolve(cli: Cli, kind: str, references: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """References to secrets or configs with their ids. Raises ScowError for unknown names and doubled targets."""
    name_key, id_key = f"{kind.title()}Name", f"{kind.title()}ID"
    seen = set()
    for one in references:
        target = (one.get("File") or {}).get("Name") or ""
        if target and target in seen:
            raise ScowError(f"duplicate {kind} target for {one[name_key]} not allowed")
        seen.add(target)
    if not references:
        return []
    wanted = {"name": {one[name_key]: True for one in references}}
    there = {one["Spec"]["Name"]: one["ID"] for one in cli.client.get(f"/{kind}s", {"filters": filters_param(wanted)}) or []}
    for one in references:
        if one[name_key] not in there:
            raise ScowError(f"{kind} not found: {one[name_key]}")
        one[id_key] = there[one[name_key]]
    return references


def capabilities(add: list[str], drop: list[str]) -> tuple[list[str], list[str]]:
    """(added, dropped) in one form and order; what is both is added."""
    added = {capability(word) for word in add}
    dropped = {capability(word) for word in drop}
    added = {"ALL"} if "ALL" in added else added
    dropped = {"ALL"} if "ALL" in dropped else dropped
    return sorted(added), sorted(dropped - added)


def capability(word: str) -> str:
    """`CAP_NET_ADMIN` for `net_admin`."""
    word = word.strip().upper()
    return word if word in ("ALL", "RESET") or word.startswith("CAP_") else f"CAP_{word}"


def _mode(options: Options) -> dict[str, Any]:
    mode = options.text("mode")
    replicated, job = mode == "replicated", mode == "replicated-job"
    if options.given("replicas") and mode in ("global", "global-job"):
        raise ScowError("replicas can only be used with replicated or replicated-job mode")
    if options.number("replicas-max-per-node") > 0 and not (replicated or job):
        raise ScowError("replicas-max-per-node can only be used with replicated or replicated-job mode")
    if options.given("max-concurrent") and not job:
        raise ScowError("max-concurrent can only be used with replicated-job mode")
    if mode == "global":
        return {"Global": {}}
    if mode == "global-job":
        return {"GlobalJob": {}}
    if replicated:
        return {"Replicated": {"Replicas": options.number("replicas") if options.given("replicas") else 1}}
    if not job:
        raise ScowError(f"Unknown mode: {mode}, only replicated and global supported")
    total = options.number("replicas") if options.given("replicas") else 1
    most = options.number("max-concurrent") if options.given("max-concurrent") else total
    return {"ReplicatedJob": {"MaxConcurrent": most, "TotalCompletions": total}}


def resources(options: Options) -> dict[str, Any]:
    """Limits and reservations of the flags."""
    limits = {"NanoCPUs": "limit-cpu", "MemoryBytes": "limit-memory", "Pids": "limit-pids"}
    reserved = {"NanoCPUs": "reserve-cpu", "MemoryBytes": "reserve-memory"}
    found: dict[str, Any] = {
        name: {key: options.number(flag) for key, flag in flags.items() if options.number(flag)}
        for name, flags in (("Limits", limits), ("Reservations", reserved))
    }
    generic = words.generic_resources(every("--generic-resource", options.list("generic-resource"), words.generic_name))
    if generic:
        found["Reservations"]["GenericResources"] = generic
    return found


def _container(options: Options, args: list[str], lookup: Callable[[str], str | None]) -> dict[str, Any]:
    from scow.opts import checks, mounts
    from scow.opts.env import environment

    env: list[str] = []
    for word in environment(every("-e, --env", options.list("env"), checks.variable), options.list("env-file"), lookup):
        key = word.partition("=")[0]
        env = [one for one in env if one == word or one.partition("=")[0] != key]
        env.append(word)
    add, drop = capabilities(options.list("cap-add"), options.list("cap-drop"))
    dns = {
        "Nameservers": every("--dns", options.list("dns"), checks.address),
        "Search": every("--dns-search", options.list("dns-search"), checks.domain),
        "Options": options.list("dns-option"),
    }
    credentials = every("--credential-spec", [options.text("credential-spec")], words.credential_spec)[0]
    found: dict[str, Any] = {
        "Image": args[0],
        "Labels": pairs("--container-label", options.list("container-label"), checks.label),
        "Command": split(options, "entrypoint"),
        "Args": args[1:],
        "Hostname": options.text("hostname"),
        "Env": env,
        "Dir": options.text("workdir"),
        "User": options.text("user"),
        "Groups": options.list("group"),
        "Privileges": {"CredentialSpec": credentials} if credentials else {},
        "StopSignal": options.text("stop-signal"),
        "TTY": options.flag("tty"),
        "ReadOnly": options.flag("read-only"),
        "Mounts": every("--mount", options.list("mount"), mounts.parse_mount),
        "Hosts": hosts("--host", options.list("host")),
        "Secrets": every("--secret", options.list("secret"), words.parse_reference),
        "Configs": every("--config", options.list("config"), words.parse_config),
        "Isolation": options.text("isolation"),
        "Sysctls": pairs("--sysctl", options.list("sysctl")),
        "CapabilityAdd": add,
        "CapabilityDrop": drop,
        "Ulimits": ulimits("--ulimit", options.list("ulimit")),
        "OomScoreAdj": options.number("oom-score-adj"),
    }
    found = {key: one for key, one in found.items() if one}
    found["DNSConfig"] = {key: one for key, one in dns.items() if one}
    found["Init"] = options.flag("init")
    if options.given("stop-grace-period"):
        found["StopGracePeriod"] = options.number("stop-grace-period")
    check_health(options)
    if options.flag("no-healthcheck"):
        found["Healthcheck"] = {"Test": ["NONE"]}
    else:
        check: dict[str, Any] = {}
        health(options, check)
        if check:
            found["Healthcheck"] = check
    return found


def build(options: Options, args: list[str], lookup: Callable[[str], str | None]) -> dict[str, Any]:
    """The spec of a service, with names in the place of ids. Raises UsageError (bad flag), ScowError (contradicting flags)."""
    from scow.opts import checks

    container = _container(options, args, lookup)
    attached = attachments("--network", options.list("network"))
    ports = [port for found in every("-p, --publish", options.list("publish"), words.parse_port) for port in found]
    preferences = every("--placement-pref", options.list("placement-pref"), words.parse_preference)
    placement: dict[str, Any] = {
        "Constraints": options.list("constraint"),
        "Preferences": preferences,
        "MaxReplicas": options.number("replicas-max-per-node"),
    }
    task: dict[str, Any] = {
        "ContainerSpec": container,
        "Resources": resources(options),
        "Placement": {key: one for key, one in placement.items() if one},
        "ForceUpdate": 0,
    }
    if any_given(options, "restart", RESTART_KEYS):
        task["RestartPolicy"] = dict(RESTART_DEFAULTS)
        policy(options, "restart", RESTART_KEYS, task["RestartPolicy"])
    log = pairs("--log-opt", options.list("log-opt"), checks.variable)
    if options.text("log-driver"):
        task["LogDriver"] = {"Name": options.text("log-driver"), **({"Options": log} if log else {})}
    if attached:
        task["Networks"] = attached
    spec: dict[str, Any] = {
        "Name": options.text("name"),
        "Labels": pairs("-l, --label", options.list("label"), checks.label),
        "TaskTemplate": task,
        "Mode": _mode(options),
        "EndpointSpec": {"Mode": options.text("endpoint-mode").lower(), **({"Ports": ports} if ports else {})},
    }
    job = "ReplicatedJob" in spec["Mode"] or "GlobalJob" in spec["Mode"]
    for kind, key in (("update", "UpdateConfig"), ("rollback", "RollbackConfig")):
        if any_given(options, kind, UPDATE_KEYS):
            if job:
                raise ScowError("update and rollback configuration is not supported for jobs")
            spec[key] = dict(UPDATE_DEFAULTS)
            policy(options, kind, UPDATE_KEYS, spec[key])
    return spec


def resolve_spec(cli: Cli, spec: dict[str, Any]) -> None:
    """Puts ids where names are. Raises ScowError."""
    container = spec["TaskTemplate"]["ContainerSpec"]
    for kind, key in (("secret", "Secrets"), ("config", "Configs")):
        if container.get(key):
            resolve(cli, kind, container[key])
    credentials = (container.get("Privileges") or {}).get("CredentialSpec") or {}
    if credentials.get("Config"):
        _credential_config(cli, container, credentials)
    if spec["TaskTemplate"].get("Networks"):
        spec["TaskTemplate"]["Networks"] = resolve_networks(cli, spec["TaskTemplate"]["Networks"])


def _credential_config(cli: Cli, container: dict[str, Any], credentials: dict[str, Any]) -> None:
    """A credential spec in a config is named by its id, and the config is given to the runtime."""
    made = resolve(cli, "config", [{"ConfigName": credentials["Config"], "ConfigID": ""}])[0]
    credentials["Config"] = made["ConfigID"]
    container.setdefault("Configs", []).append({"Runtime": {}, "ConfigID": made["ConfigID"], "ConfigName": made["ConfigName"]})
