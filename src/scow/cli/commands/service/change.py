"""What `service update` makes of a service's spec: each flag changes one thing and leaves the rest, also what this client does not know."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.commands.service import spec as made
from scow.cli.flags import every
from scow.client.api import quote
from scow.client.transport import ApiError
from scow.errors import ScowError
from scow.opts import checks, mounts
from scow.opts import swarm as words

_TEXTS = {"image": "Image", "hostname": "Hostname", "workdir": "Dir", "user": "User", "stop-signal": "StopSignal", "isolation": "Isolation"}


def check(options: Options) -> None:
    """Raises UsageError for words that no service could have, before the engine is asked anything."""
    for flag, parse in (
        ("secret-add", words.parse_reference),
        ("config-add", words.parse_config),
        ("publish-add", words.parse_port),
        ("publish-rm", words.parse_port),
        ("placement-pref-add", words.parse_preference),
        ("placement-pref-rm", words.parse_preference),
        ("mount-add", mounts.parse_mount),
        ("generic-resource-add", words.generic_name),
        ("dns-add", checks.address),
        ("dns-search-add", checks.domain),
        ("env-add", checks.variable),
        ("log-opt", checks.variable),
        ("label-add", checks.label),
        ("container-label-add", checks.label),
    ):
        every(f"--{flag}", options.list(flag), parse)
    every("--credential-spec", [options.text("credential-spec")], words.credential_spec)
    made.hosts("--host-add", options.list("host-add"))
    made.ulimits("--ulimit-add", options.list("ulimit-add"))
    made.attachments("--network-add", options.list("network-add"))
    made.check_health(options)


def apply(cli: Cli, options: Options, spec: dict[str, Any]) -> None:
    """Changes the spec as the flags say. Raises ScowError."""
    task: dict[str, Any] = spec.setdefault("TaskTemplate", {})
    container: dict[str, Any] = task.setdefault("ContainerSpec", {})
    _texts(options, container)
    _environment(cli, options, container)
    _labels(options, "label", spec)
    _labels(options, "container-label", container)
    _lists(options, container)
    _files(cli, options, container)
    _mounts(options, container)
    _resources(options, task)
    _placement(options, task)
    _policies(options, spec, task)
    _replicas(options, spec)
    _health(options, container)
    _ports(options, spec)
    _networks(cli, options, spec, task)
    if options.given("log-driver"):
        log = made.pairs("--log-opt", options.list("log-opt"), checks.variable)
        task["LogDriver"] = {"Name": options.text("log-driver"), **({"Options": log} if log else {})}
    if options.flag("force"):
        task["ForceUpdate"] = (task.get("ForceUpdate") or 0) + 1


def _texts(options: Options, container: dict[str, Any]) -> None:
    for flag, key in _TEXTS.items():
        if options.given(flag):
            container[key] = options.text(flag)
    for flag, key in (("args", "Args"), ("entrypoint", "Command")):
        if options.given(flag):
            container[key] = made.split(options, flag)
    for flag, key in (("tty", "TTY"), ("read-only", "ReadOnly"), ("init", "Init")):
        if options.given(flag):
            container[key] = options.flag(flag)
    if options.given("stop-grace-period"):
        container["StopGracePeriod"] = options.number("stop-grace-period")
    if options.given("oom-score-adj"):
        container["OomScoreAdj"] = options.number("oom-score-adj")
    if options.given("credential-spec"):
        found = words.credential_spec(options.text("credential-spec"))
        container.setdefault("Privileges", {})["CredentialSpec"] = found or None


def _environment(cli: Cli, options: Options, container: dict[str, Any]) -> None:
    if not options.given("env-add") and not options.given("env-rm"):
        return
    from scow.opts.env import environment

    gone = set(options.list("env-rm"))
    found = {one.partition("=")[0]: one for one in container.get("Env") or []}
    found = {key: one for key, one in found.items() if key not in gone}
    for word in environment(options.list("env-add"), [], lambda name: cli.environ().get(name)):
        found[word.partition("=")[0]] = word
    container["Env"] = list(found.values())


def _labels(options: Options, flag: str, owner: dict[str, Any]) -> None:
    labels = dict(owner.get("Labels") or {})
    for key in options.list(f"{flag}-rm"):
        labels.pop(key, None)
    if options.given(f"{flag}-add"):
        labels.update(made.pairs(f"--{flag}-add", options.list(f"{flag}-add"), checks.label))
    if options.given(f"{flag}-add") or options.given(f"{flag}-rm"):
        owner["Labels"] = labels


def _edited(old: Iterable[Any] | None, add: list[Any], gone: Iterable[Any]) -> list[Any]:
    """Values without those that go, with those that come, each once, sorted."""
    removed = set(gone)
    return sorted({*(one for one in old or [] if one not in removed), *add})


def _lists(options: Options, container: dict[str, Any]) -> None:
    dns = container.get("DNSConfig") or {}
    for flag, key, parse in (
        ("dns", "Nameservers", checks.address),
        ("dns-search", "Search", checks.domain),
        ("dns-option", "Options", str),
    ):
        add, removed = options.list(f"{flag}-add"), options.list(f"{flag}-rm")
        if add or removed:
            dns[key] = _edited(dns.get(key), every(f"--{flag}-add", add, parse), removed)
            container["DNSConfig"] = dns
    if options.list("group-add") or options.list("group-rm"):
        container["Groups"] = _edited(container.get("Groups"), options.list("group-add"), options.list("group-rm"))
    if options.list("host-add") or options.list("host-rm"):
        _hosts(options, container)
    if options.list("sysctl-add") or options.list("sysctl-rm"):
        found = {**(container.get("Sysctls") or {}), **made.pairs("--sysctl-add", options.list("sysctl-add"))}
        gone = {word.partition("=")[0] for word in options.list("sysctl-rm")}
        container["Sysctls"] = {key: one for key, one in found.items() if key not in gone}
    if options.list("ulimit-add") or options.list("ulimit-rm"):
        added = made.ulimits("--ulimit-add", options.list("ulimit-add"))
        kept = {one["Name"]: one for one in container.get("Ulimits") or [] if one["Name"] not in options.list("ulimit-rm")}
        kept.update({one["Name"]: one for one in added})
        container["Ulimits"] = [kept[name] for name in sorted(kept)]
    if options.given("cap-add") or options.given("cap-drop"):
        _capabilities(options, container)


def _hosts(options: Options, container: dict[str, Any]) -> None:
    """A line goes where its name (and its address, where one is given) is named."""
    gone = [(name, address) for name, _, address in (word.replace("=", ":", 1).partition(":") for word in options.list("host-rm"))]

    def removed(line: str) -> bool:
        address, *names = line.split()
        return any(name in names and other in ("", address) for name, other in gone)

    kept = [line for line in container.get("Hosts") or [] if not removed(line)]
    container["Hosts"] = kept + [line for line in made.hosts("--host-add", options.list("host-add")) if line not in kept]


def _capabilities(options: Options, container: dict[str, Any]) -> None:
    """What is added is dropped no more, what is dropped added no more; RESET forgets what there was."""
    add, drop = ({made.capability(word) for word in options.list(flag)} for flag in ("cap-add", "cap-drop"))
    old_add, old_drop = ({made.capability(word) for word in container.get(key) or []} for key in ("CapabilityAdd", "CapabilityDrop"))
    if "RESET" in add:
        old_add, add = set(), add - {"RESET"}
    if "RESET" in drop:
        old_drop, drop = set(), drop - {"RESET"}
    # what was dropped and is added is the image's own affair again, and the other way round
    added, dropped = made.capabilities(list((add - old_drop) | (old_add - drop)), list((drop - add - old_add) | (old_drop - add)))
    container["CapabilityAdd"], container["CapabilityDrop"] = added or None, dropped or None


def _files(cli: Cli, options: Options, container: dict[str, Any]) -> None:
    for kind, key, parse in (("secret", "Secrets", words.parse_reference), ("config", "Configs", words.parse_config)):
        add, gone = options.list(f"{kind}-add"), set(options.list(f"{kind}-rm"))
        if add or gone:
            kept = [one for one in container.get(key) or [] if one[f"{kind.title()}Name"] not in gone]
            container[key] = kept + made.resolve(cli, kind, every(f"--{kind}-add", add, parse))


def _mounts(options: Options, container: dict[str, Any]) -> None:
    add = every("--mount-add", options.list("mount-add"), mounts.parse_mount)
    gone = set(options.list("mount-rm"))
    if add or gone:
        targets: dict[str, Any] = {}
        for one in add:
            if one["Target"] in targets:
                raise ScowError("duplicate mount target")
            targets[one["Target"]] = one
        found = {**{one["Target"]: one for one in container.get("Mounts") or []}, **targets}
        kept = [one for target, one in found.items() if target not in gone]
        container["Mounts"] = sorted(kept, key=lambda one: (str(one.get("Source") or ""), str(one["Target"])))


def _resources(options: Options, task: dict[str, Any]) -> None:
    limits = {"NanoCPUs": "limit-cpu", "MemoryBytes": "limit-memory", "Pids": "limit-pids"}
    reserved = {"NanoCPUs": "reserve-cpu", "MemoryBytes": "reserve-memory"}
    for name, flags in (("Limits", limits), ("Reservations", reserved)):
        for key, flag in flags.items():
            if options.given(flag):
                held = task.setdefault("Resources", {})
                held[name] = {**(held.get(name) or {}), key: options.number(flag)}
    add, gone = options.list("generic-resource-add"), set(options.list("generic-resource-rm"))
    if add or gone:
        held = task.setdefault("Resources", {})
        reservations = dict(held.get("Reservations") or {})
        found = {
            (one.get("DiscreteResourceSpec") or one.get("NamedResourceSpec") or {}).get("Kind"): one
            for one in reservations.get("GenericResources") or []
        }
        missing = gone - found.keys()
        if missing:
            raise ScowError(f"could not find generic-resource `{min(missing)}` to remove it")
        found.update({one["DiscreteResourceSpec"]["Kind"]: one for one in words.generic_resources(add)})
        reservations["GenericResources"] = [one for kind, one in found.items() if kind not in gone]
        held["Reservations"] = reservations


def _placement(options: Options, task: dict[str, Any]) -> None:
    placement = dict(task.get("Placement") or {})
    if options.list("constraint-add") or options.list("constraint-rm"):
        found = _edited(placement.get("Constraints"), options.list("constraint-add"), options.list("constraint-rm"))
        placement["Constraints"] = found
    add = every("--placement-pref-add", options.list("placement-pref-add"), words.parse_preference)
    gone = every("--placement-pref-rm", options.list("placement-pref-rm"), words.parse_preference)
    if add or gone:
        placement["Preferences"] = [one for one in placement.get("Preferences") or [] if one not in gone] + add
    if options.given("replicas-max-per-node"):
        placement["MaxReplicas"] = options.number("replicas-max-per-node")
    if placement:
        task["Placement"] = placement


def _policies(options: Options, spec: dict[str, Any], task: dict[str, Any]) -> None:
    if made.any_given(options, "restart", made.RESTART_KEYS):
        task["RestartPolicy"] = dict(task.get("RestartPolicy") or made.RESTART_DEFAULTS)
        made.policy(options, "restart", made.RESTART_KEYS, task["RestartPolicy"])
    for kind, key in (("update", "UpdateConfig"), ("rollback", "RollbackConfig")):
        if made.any_given(options, kind, made.UPDATE_KEYS):
            spec[key] = dict(spec.get(key) or made.UPDATE_DEFAULTS)
            made.policy(options, kind, made.UPDATE_KEYS, spec[key])


def _replicas(options: Options, spec: dict[str, Any]) -> None:
    mode = spec.setdefault("Mode", {})
    if options.given("replicas"):
        if mode.get("Replicated") is not None:
            mode["Replicated"]["Replicas"] = options.number("replicas")
        elif mode.get("ReplicatedJob") is not None:
            mode["ReplicatedJob"]["TotalCompletions"] = options.number("replicas")
        else:
            raise ScowError("replicas can only be used with replicated mode")
    if options.given("max-concurrent"):
        if mode.get("ReplicatedJob") is None:
            raise ScowError("max-concurrent can only be used with replicated-job mode")
        mode["ReplicatedJob"]["MaxConcurrent"] = options.number("max-concurrent")
    if options.given("endpoint-mode"):
        spec.setdefault("EndpointSpec", {})["Mode"] = options.text("endpoint-mode")


def _health(options: Options, container: dict[str, Any]) -> None:
    if not any(options.given(flag) for flag in (*made.HEALTH, "no-healthcheck")):
        return
    if options.flag("no-healthcheck"):
        container["Healthcheck"] = {"Test": ["NONE"]}
        return
    found = dict(container.get("Healthcheck") or {})
    if (found.get("Test") or [""])[0] == "NONE":
        del found["Test"]
    made.health(options, found)
    if options.given("health-cmd") and not options.text("health-cmd"):
        found.pop("Test", None)
    container["Healthcheck"] = found


def _port_key(port: dict[str, Any]) -> tuple[str, int, str]:
    return (port.get("Protocol") or "tcp", port.get("TargetPort") or 0, port.get("PublishMode") or "ingress")


def _ports(options: Options, spec: dict[str, Any]) -> None:
    add = [port for found in every("--publish-add", options.list("publish-add"), words.parse_port) for port in found]
    gone = [port for found in every("--publish-rm", options.list("publish-rm"), words.parse_port) for port in found]
    if not add and not gone:
        return
    removed = {_port_key(port) for port in gone}
    endpoint = spec.setdefault("EndpointSpec", {})
    ports = [port for port in endpoint.get("Ports") or [] if _port_key(port) not in removed]
    known = {(_port_key(port), port.get("PublishedPort") or 0) for port in ports}
    ports += [port for port in add if (_port_key(port), port.get("PublishedPort") or 0) not in known]
    endpoint["Ports"] = sorted(ports, key=lambda port: (port.get("TargetPort") or 0, port.get("PublishedPort") or 0))


def _networks(cli: Cli, options: Options, spec: dict[str, Any], task: dict[str, Any]) -> None:
    add = made.attachments("--network-add", options.list("network-add"))
    if not add and not options.list("network-rm"):
        return
    held = task.get("Networks") or spec.get("Networks") or []
    gone = {_network(cli, name) for name in options.list("network-rm")}
    ids = [(_network(cli, one["Target"]), one) for one in held]
    found = {ident: {**one, "Target": ident} for ident, one in ids if ident not in gone}
    for one in made.resolve_networks(cli, add):
        if one["Target"] in found:
            name = cli.client.get(f"/networks/{quote(one['Target'])}")["Name"]
            raise ScowError(f"service is already attached to network {name}")
        found[one["Target"]] = one
    task["Networks"] = [found[ident] for ident in sorted(found)]
    spec.pop("Networks", None)


def _network(cli: Cli, name: str) -> str:
    """A network's id; of one that is gone, what it was called."""
    try:
        return str(cli.client.get(f"/networks/{quote(name)}", {"scope": "swarm"})["Id"])
    except ApiError as exc:
        if exc.status == 404:
            return name
        raise
