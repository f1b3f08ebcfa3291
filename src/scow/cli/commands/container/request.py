"""Flags of run and create, and the request they make."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.flags import Flag, Options
    from scow.opts.networks import NetworkFlag

from scow.cli.flags import UsageError, every
from scow.errors import ScowError

FLAGS: tuple[Flag, ...] = (
    ("add-host", "", "list", (), "Add a line to /etc/hosts (host:ip)"),
    ("annotation", "", "map", (), "Add an annotation for the runtime"),
    ("attach", "a", "list", (), "Attach to STDIN, STDOUT or STDERR"),
    ("blkio-weight", "", "uint16", 0, "Weight of block IO, 10 to 1000, 0 to disable"),
    ("blkio-weight-device", "", "list", (), "Weight of block IO on a device"),
    ("cap-add", "", "list", (), "Add capabilities"),
    ("cap-drop", "", "list", (), "Drop capabilities"),
    ("cgroup-parent", "", "string", "", "Parent control group"),
    ("cgroupns", "", "string", "", "Control group namespace (host|private)"),
    ("cidfile", "", "string", "", "Write the container's id to this file"),
    ("cpu-count", "", "int", 0, ""),
    ("cpu-percent", "", "int", 0, ""),
    ("cpu-period", "", "int", 0, "Period of the CPU limit in microseconds"),
    ("cpu-quota", "", "int", 0, "Quota of the CPU limit in microseconds"),
    ("cpu-rt-period", "", "int", 0, "Period of real-time CPU in microseconds"),
    ("cpu-rt-runtime", "", "int", 0, "Runtime of real-time CPU in microseconds"),
    ("cpu-shares", "c", "int", 0, "Relative weight of CPU"),
    ("cpus", "", "decimal", 0, "Number of CPUs"),
    ("cpuset-cpus", "", "string", "", "CPUs to run on (0-3, 0,1)"),
    ("cpuset-mems", "", "string", "", "Memory nodes to use (0-3, 0,1)"),
    ("device", "", "list", (), "Give a device of the host to the container"),
    ("device-cgroup-rule", "", "list", (), "Add a rule of allowed devices"),
    ("device-read-bps", "", "list", (), "Limit reading from a device, bytes per second"),
    ("device-read-iops", "", "list", (), "Limit reading from a device, operations per second"),
    ("device-write-bps", "", "list", (), "Limit writing to a device, bytes per second"),
    ("device-write-iops", "", "list", (), "Limit writing to a device, operations per second"),
    ("disable-content-trust", "", "bool", True, "Skip verification of the image"),
    ("dns", "", "list", (), "Name servers"),
    ("dns-option", "", "list", (), "Options of the resolver"),
    ("dns-opt", "", "list", (), ""),
    ("dns-search", "", "list", (), "Search domains"),
    ("domainname", "", "string", "", "Domain name of the container"),
    ("entrypoint", "", "string", "", "Replace the image's entry point"),
    ("env", "e", "list", (), "Set an environment variable"),
    ("env-file", "", "list", (), "Read environment variables from a file"),
    ("expose", "", "list", (), "Expose a port or a range of ports"),
    ("gpus", "", "gpu-request", (), "GPUs for the container ('all' for all of them)"),
    ("group-add", "", "list", (), "Additional groups"),
    ("health-cmd", "", "string", "", "Command that checks health"),
    ("health-interval", "", "duration", 0, "Time between checks (ms|s|m|h)"),
    ("health-retries", "", "int", 0, "Failures in a row that mean unhealthy"),
    ("health-start-interval", "", "duration", 0, "Time between checks during the start period"),
    ("health-start-period", "", "duration", 0, "Time in which failures don't count"),
    ("health-timeout", "", "duration", 0, "Longest time of one check"),
    ("hostname", "h", "string", "", "Host name of the container"),
    ("init", "", "bool", False, "Run an init that forwards signals and reaps processes"),
    ("interactive", "i", "bool", False, "Keep standard input open"),
    ("io-maxbandwidth", "", "bytes", 0, ""),
    ("io-maxiops", "", "uint", 0, ""),
    ("ip", "", "string", "", "IPv4 address"),
    ("ip6", "", "string", "", "IPv6 address"),
    ("ipc", "", "string", "", "IPC mode"),
    ("isolation", "", "string", "", "Isolation technology"),
    ("kernel-memory", "", "bytes", 0, "Limit of kernel memory"),
    ("label", "l", "list", (), "Set a label"),
    ("label-file", "", "list", (), "Read labels from a file"),
    ("link", "", "list", (), "Link to another container"),
    ("link-local-ip", "", "list", (), "Link-local addresses"),
    ("log-driver", "", "string", "", "Logging driver"),
    ("log-opt", "", "list", (), "Options of the logging driver"),
    ("mac-address", "", "string", "", "MAC address"),
    ("memory", "m", "bytes", 0, "Limit of memory"),
    ("memory-reservation", "", "bytes", 0, "Soft limit of memory"),
    ("memory-swap", "", "swap", 0, "Limit of memory and swap together, -1 for unlimited swap"),
    ("memory-swappiness", "", "int", -1, "Readiness to swap (0 to 100)"),
    ("mount", "", "mount", (), "Attach a file system"),
    ("name", "", "string", "", "Name of the container"),
    ("network", "", "network", (), "Connect to a network"),
    ("net", "", "network", (), ""),
    ("network-alias", "", "list", (), "Name on the network"),
    ("net-alias", "", "list", (), ""),
    ("no-healthcheck", "", "bool", False, "Disable the image's health check"),
    ("oom-kill-disable", "", "bool", False, "Don't kill on out of memory"),
    ("oom-score-adj", "", "int", 0, "Preference of the OOM killer (-1000 to 1000)"),
    ("pid", "", "string", "", "PID namespace"),
    ("pids-limit", "", "int", 0, "Limit of processes, -1 for unlimited"),
    ("platform", "", "string", "", "Platform of the image"),
    ("privileged", "", "bool", False, "Give extended privileges"),
    ("publish", "p", "list", (), "Publish a port on the host"),
    ("publish-all", "P", "bool", False, "Publish all exposed ports on random ports"),
    ("pull", "", "string", "missing", 'Pull the image first ("always", "missing", "never")'),
    ("quiet", "q", "bool", False, "Don't show the pull"),
    ("read-only", "", "bool", False, "Mount the root file system read-only"),
    ("restart", "", "string", "no", "What to do when the container exits"),
    ("rm", "", "bool", False, "Remove the container and its anonymous volumes when it exits"),
    ("runtime", "", "string", "", "Runtime for the container"),
    ("security-opt", "", "list", (), "Security options"),
    ("shm-size", "", "bytes", 0, "Size of /dev/shm"),
    ("stop-signal", "", "string", "", "Signal that stops the container"),
    ("stop-timeout", "", "int", 0, "Seconds until a stop becomes a kill"),
    ("storage-opt", "", "list", (), "Options of the storage driver"),
    ("sysctl", "", "map", (), "Kernel parameters"),
    ("tmpfs", "", "list", (), "Mount a tmpfs"),
    ("tty", "t", "bool", False, "Give it a terminal"),
    ("ulimit", "", "ulimit", (), "Limits of resources"),
    ("use-api-socket", "", "bool", False, "Mount the engine's socket"),
    ("user", "u", "string", "", "User name or UID (<name|uid>[:<group|gid>])"),
    ("userns", "", "string", "", "User namespace"),
    ("uts", "", "string", "", "UTS namespace"),
    ("volume", "v", "list", (), "Mount a volume or a directory"),
    ("volume-driver", "", "string", "", "Driver of volumes"),
    ("volumes-from", "", "list", (), "Mount the volumes of another container"),
    ("workdir", "w", "string", "", "Working directory inside the container"),
)
_KEEP_EMPTY = ("Cmd", "Image", "AttachStdin", "AttachStdout", "AttachStderr", "Labels")


def build(options: Options, args: list[str], lookup: Callable[[str], str | None]) -> dict[str, Any]:
    """The body of /containers/create. Raises UsageError (bad flag), ScowError (contradicting flags)."""
    attach = {word.lower() for word in options.list("attach")}
    if attach - {"stdin", "stdout", "stderr"}:
        word = next(iter(attach - {"stdin", "stdout", "stderr"}))
        raise UsageError(f'invalid argument "{word}" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR')
    interactive, tty = options.flag("interactive"), options.flag("tty")
    stdin = "stdin" in attach if attach else interactive
    body: dict[str, Any] = {
        "Hostname": options.text("hostname"),
        "Domainname": options.text("domainname"),
        "User": options.text("user"),
        "AttachStdin": stdin,
        "AttachStdout": not attach or "stdout" in attach,
        "AttachStderr": not attach or "stderr" in attach,
        "Tty": tty,
        "OpenStdin": interactive,
        "StdinOnce": interactive and stdin,
        "Cmd": args[1:] or None,
        "Image": args[0],
        "WorkingDir": options.text("workdir"),
        "StopSignal": options.text("stop-signal"),
    }
    if options.given("entrypoint"):
        body["Entrypoint"] = [options.text("entrypoint")]
    if options.given("stop-timeout"):
        body["StopTimeout"] = options.number("stop-timeout")
    from scow.opts.checks import label, variable
    from scow.opts.env import environment, mapping, read_file

    if options.list("env") or options.list("env-file"):
        body["Env"] = environment(every("-e, --env", options.list("env"), variable), options.list("env-file"), lookup)
    labels = [line for path in options.list("label-file") for line in read_file(path, None)]
    body["Labels"] = mapping([*labels, *every("-l, --label", options.list("label"), label)])
    exposed: dict[str, dict[str, str]] = {}
    host: dict[str, Any] = {}
    _ports(options, exposed, host)
    if exposed:
        body["ExposedPorts"] = exposed
    _volumes(options, body, host)
    _health(options, body)
    _limits(options, host)
    _modes(options, host)
    _networks(options, body, host)
    _devices(options, host)
    body = {key: value for key, value in body.items() if value or key in _KEEP_EMPTY}
    body["HostConfig"] = host
    return body


def _ports(options: Options, exposed: dict[str, Any], host: dict[str, Any]) -> None:
    if options.list("publish") or options.list("expose"):
        from scow.opts.ports import parse_expose, parse_publish

        bindings: dict[str, list[dict[str, str]]] = {}
        for word in options.list("publish"):
            for port, targets in parse_publish(word).items():
                exposed[port] = {}
                bindings.setdefault(port, []).extend(targets)
        for word in options.list("expose"):
            for port in parse_expose(word):
                exposed[port] = {}
        host["PortBindings"] = bindings
    if options.flag("publish-all"):
        host["PublishAllPorts"] = True


def _volumes(options: Options, body: dict[str, Any], host: dict[str, Any]) -> None:
    if options.list("volume"):
        from scow.opts.mounts import parse_volume

        for text, bound in map(parse_volume, options.list("volume")):
            if bound:
                host.setdefault("Binds", []).append(text)
            else:
                body.setdefault("Volumes", {})[text] = {}
    if options.list("mount"):
        from scow.opts.mounts import parse_mount

        host["Mounts"] = every("--mount", options.list("mount"), parse_mount)
    if options.list("tmpfs"):
        host["Tmpfs"] = {path: rest for path, _, rest in (word.partition(":") for word in options.list("tmpfs"))}
    if options.list("volumes-from"):
        host["VolumesFrom"] = options.list("volumes-from")
    if options.text("volume-driver"):
        host["VolumeDriver"] = options.text("volume-driver")


def _health(options: Options, body: dict[str, Any]) -> None:
    durations = {
        "Interval": "health-interval",
        "Timeout": "health-timeout",
        "StartPeriod": "health-start-period",
        "StartInterval": "health-start-interval",
    }
    given = [flag for flag in (*durations.values(), "health-cmd", "health-retries") if options.given(flag)]
    if options.flag("no-healthcheck"):
        if given:
            raise ScowError("--no-healthcheck conflicts with --health-* options")
        body["Healthcheck"] = {"Test": ["NONE"]}
        return
    if not given:
        return
    check: dict[str, Any] = {"Retries": options.number("health-retries")}
    for key, flag in durations.items():
        if options.number(flag) < 0:
            raise ScowError(f"--{flag} cannot be negative")
        check[key] = options.number(flag)
    if check["Retries"] < 0:
        raise ScowError("--health-retries cannot be negative")
    if options.text("health-cmd"):
        check["Test"] = ["CMD-SHELL", options.text("health-cmd")]
    body["Healthcheck"] = check


_NUMBERS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "kernel-memory": "KernelMemory",
    "oom-score-adj": "OomScoreAdj",
    "pids-limit": "PidsLimit",
    "shm-size": "ShmSize",
    "cpu-count": "CpuCount",
    "cpu-percent": "CpuPercent",
    "io-maxbandwidth": "IOMaximumBandwidth",
    "io-maxiops": "IOMaximumIOps",
}
_TEXTS = {
    "cgroup-parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "ipc": "IpcMode",
    "isolation": "Isolation",
    "pid": "PidMode",
    "runtime": "Runtime",
    "userns": "UsernsMode",
    "uts": "UTSMode",
    "cidfile": "ContainerIDFile",
}
_NAMESPACES = {"pid": ("host", "container:"), "uts": ("host",), "userns": ("host",), "cgroupns": ("host", "private")}
_LISTS = {
    "cap-add": "CapAdd",
    "cap-drop": "CapDrop",
    "device-cgroup-rule": "DeviceCgroupRules",
    "dns": "Dns",
    "dns-search": "DnsSearch",
    "group-add": "GroupAdd",
    "link": "Links",
}


def _checked(flag: str, words: list[str]) -> list[str]:
    from scow.opts import checks

    found = {"device-cgroup-rule": checks.device_rule, "dns": checks.address, "dns-search": checks.domain, "link": checks.link}.get(flag)
    return words if found is None else every(f"--{flag}", words, found)


def _limits(options: Options, host: dict[str, Any]) -> None:
    for flag, key in _NUMBERS.items():
        if options.given(flag):
            host[key] = options.number(flag)
    for flag, key in _TEXTS.items():
        if options.text(flag):
            host[key] = options.text(flag)
    for flag, words in _NAMESPACES.items():
        if options.text(flag):
            from scow.opts.checks import namespace

            namespace(flag, options.text(flag), words)
    for flag, key in _LISTS.items():
        if options.list(flag):
            host[key] = _checked(flag, options.list(flag))
    swappiness = options.number("memory-swappiness")
    if options.given("memory-swappiness"):
        if swappiness != -1 and not 0 <= swappiness <= 100:
            raise ScowError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
        host["MemorySwappiness"] = swappiness
    if options.list("ulimit"):
        from scow.opts.ulimits import parse

        made = every("--ulimit", options.list("ulimit"), parse)
        host["Ulimits"] = [{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in made]


def _modes(options: Options, host: dict[str, Any]) -> None:
    from scow.opts.env import mapping
    from scow.opts.shellwords import parse_restart, parse_security

    for flag, key in (
        ("privileged", "Privileged"),
        ("read-only", "ReadonlyRootfs"),
        ("rm", "AutoRemove"),
        ("oom-kill-disable", "OomKillDisable"),
    ):
        if options.flag(flag):
            host[key] = True
    if options.given("init"):
        host["Init"] = options.flag("init")
    policy = parse_restart(options.text("restart"))
    if options.flag("rm") and policy["Name"] not in ("", "no"):
        raise ScowError("conflicting options: cannot specify both --restart and --rm")
    host["RestartPolicy"] = policy
    if options.list("security-opt"):
        security = parse_security(options.list("security-opt"))
        host["SecurityOpt"] = [one for one in security if one != "systempaths=unconfined"]
        if len(host["SecurityOpt"]) != len(security):  # the client's word: engines know empty lists
            host["MaskedPaths"], host["ReadonlyPaths"] = [], []
    if options.text("log-driver") or options.list("log-opt"):
        if options.text("log-driver") == "none" and options.list("log-opt"):
            raise ScowError("invalid logging opts for driver none")
        host["LogConfig"] = {"Type": options.text("log-driver"), "Config": mapping(options.list("log-opt"), "log-opt")}
    if options.list("storage-opt"):
        for word in options.list("storage-opt"):
            if "=" not in word:
                raise ScowError("invalid storage option")
        host["StorageOpt"] = mapping(options.list("storage-opt"), "storage-opt")
    if options.list("sysctl"):
        from scow.opts.checks import sysctl

        host["Sysctls"] = mapping(every("--sysctl", options.list("sysctl"), sysctl), "sysctl")
    if options.list("annotation"):
        host["Annotations"] = mapping(options.list("annotation"), "annotation")
    dns_options = [*options.list("dns-option"), *options.list("dns-opt")]
    if dns_options:
        host["DnsOptions"] = dns_options
    if options.list("add-host"):
        from scow.opts.networks import parse_host

        host["ExtraHosts"] = every("--add-host", options.list("add-host"), parse_host)


def _user_defined(network: str) -> bool:
    return network not in ("default", "bridge", "host", "none", "") and not network.startswith("container:")


def _first_network(options: Options, first: NetworkFlag) -> None:
    """The first network gets what run's own flags say of an endpoint. Raises ScowError where the network's words say it, too."""
    aliases = [*options.list("network-alias"), *options.list("net-alias")]
    for flag, mine, theirs, what in (
        ("network-alias", aliases, first.aliases, "alias"),
        ("link", options.list("link"), first.links, "links"),
        ("ip", options.text("ip"), first.ip, "IPv4 address"),
        ("ip6", options.text("ip6"), first.ip6, "IPv6 address"),
        ("mac-address", options.text("mac-address"), first.mac, "MAC address"),
        ("link-local-ip", options.list("link-local-ip"), first.link_local, "link-local IP addresses"),
    ):
        if mine and theirs:
            raise ScowError(f"conflicting options: cannot specify both --{flag} and per-network {what}")
    first.aliases.extend(aliases)
    first.ip = first.ip or options.text("ip")
    first.ip6 = first.ip6 or options.text("ip6")
    first.link_local.extend(options.list("link-local-ip"))
    first.mac = first.mac or options.text("mac-address")
    if _user_defined(first.target):
        first.links.extend(options.list("link"))


def _networks(options: Options, body: dict[str, Any], host: dict[str, Any]) -> None:
    from scow.opts.networks import NetworkFlag, parse_network

    flags = [*options.list("network"), *options.list("net")]
    made: list[NetworkFlag] = every("--network", flags, parse_network) or [NetworkFlag("default")]
    first = made[0]
    _first_network(options, first)
    kinds = {_user_defined(flag.target) for flag in made}
    if len(kinds) > 1:
        raise ScowError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    for flag in made:
        if not flag.target:
            raise ScowError("no name set for network")
        if flag.aliases and not _user_defined(flag.target):
            raise ScowError("network-scoped aliases are only supported for user-defined networks")
        if flag.links and not _user_defined(flag.target):
            raise ScowError("links are only supported for user-defined networks")
        if flag.mac:
            from scow.opts.checks import mac

            mac(flag.mac)
    names = [flag.target for flag in made]
    if len(set(names)) != len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ScowError(f'network "{double}" is specified multiple times')
    host["NetworkMode"] = first.target or "default"
    if options.text("mac-address"):
        body["MacAddress"] = options.text("mac-address")
    endpoints = {flag.target: flag.endpoint() for flag in made if flag.endpoint() or flag.target != "default"}
    if endpoints and not first.target.startswith("container:"):
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}


def _devices(options: Options, host: dict[str, Any]) -> None:
    rates = {
        "device-read-bps": ("BlkioDeviceReadBps", True),
        "device-write-bps": ("BlkioDeviceWriteBps", True),
        "device-read-iops": ("BlkioDeviceReadIOps", False),
        "device-write-iops": ("BlkioDeviceWriteIOps", False),
    }
    if not any(options.list(flag) for flag in (*rates, "device", "gpus", "blkio-weight-device")):
        return
    from scow.opts import hostdevices

    for flag, (key, sized) in rates.items():
        if options.list(flag):
            host[key] = every(f"--{flag}", options.list(flag), lambda word, sized=sized: hostdevices.parse_rate(word, sized))  # type: ignore[misc]
    if options.list("blkio-weight-device"):
        host["BlkioWeightDevice"] = every("--blkio-weight-device", options.list("blkio-weight-device"), hostdevices.parse_weight)
    cdi = [word for word in options.list("device") if hostdevices.is_cdi(word)]
    plain = [word for word in options.list("device") if not hostdevices.is_cdi(word)]
    if plain:
        host["Devices"] = [hostdevices.parse_device(word) for word in plain]
    requests = every("--gpus", options.list("gpus"), hostdevices.parse_gpus)
    if cdi:
        requests.append({"Driver": "cdi", "DeviceIDs": cdi, "Count": 0, "Capabilities": None, "Options": None})
    if requests:
        host["DeviceRequests"] = requests
