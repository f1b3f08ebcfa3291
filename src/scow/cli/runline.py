"""`scow inspect --format run`: the command line that would make a container again. Pure; called by the inspect command.

What the image or the engine gives by default is left out, so that the line says what its author said.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

from scow.cli.commands.container.request import _LISTS, _NUMBERS, _TEXTS

SHM_SIZE = 64 * 1024 * 1024
MASK = "***"
_SECRET = ("PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "PRIVATE")
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:=,@%+")
_PLAIN_NETWORKS = ("", "default", "bridge")


def quoted(word: str) -> str:
    """The word as a shell reads it back."""
    return word if word and all(char in _SAFE for char in word) else "'" + word.replace("'", "'\\''") + "'"


def text(words: list[str]) -> str:
    """The line."""
    return " ".join(quoted(word) for word in words)


def secret(name: str) -> bool:
    """Whether a variable's name says that its value is nobody's business."""
    return any(part in name.upper() for part in _SECRET)


def words(container: Facts, image: Facts, info: Facts, show_secrets: bool = False) -> list[str]:
    """The words of the command; `image` is the image's Config, `info` the engine's, {} where unknown."""
    config, host = container.get("Config") or {}, container.get("HostConfig") or {}
    line = ["scow", "run"]
    if not (config.get("AttachStdout") or config.get("AttachStderr")):
        line.append("-d")
    line += [flag for flag, key in (("-i", "OpenStdin"), ("-t", "Tty")) if config.get(key)]
    line += ["--name", str(container.get("Name") or "").removeprefix("/")]
    line += _process(container, config, host, image, show_secrets)
    line += _ports(config, host, image)
    line += _mounts(config, host, image)
    line += _networks(container, config, host)
    line += _limits(host, info)
    line += _modes(host, info)
    line += _devices(host)
    return line + _command(config, image)


def _pairs(flag: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]


def _process(container: Facts, config: Facts, host: Facts, image: Facts, show_secrets: bool) -> list[str]:
    line: list[str] = []
    shared = str(host.get("NetworkMode") or "").startswith(("host", "container:")) or host.get("UTSMode") == "host"
    hostname = config.get("Hostname") or ""
    if hostname and hostname != str(container.get("Id"))[:12] and not shared:
        line += ["--hostname", hostname]
    for key, flag in (("Domainname", "--domainname"), ("User", "--user"), ("WorkingDir", "--workdir"), ("StopSignal", "--stop-signal")):
        if config.get(key) and config[key] != image.get(key):
            line += [flag, config[key]]
    if config.get("StopTimeout") is not None:
        line += ["--stop-timeout", str(config["StopTimeout"])]
    for variable in config.get("Env") or []:
        if variable not in (image.get("Env") or []) and not variable.startswith("PATH=/usr/local/sbin:/usr/local/bin:"):
            name, sep, _ = variable.partition("=")
            line += ["-e", f"{name}={MASK}" if sep and secret(name) and not show_secrets else variable]
    known = image.get("Labels") or {}
    line += _pairs("--label", [f"{k}={v}" for k, v in (config.get("Labels") or {}).items() if known.get(k) != v])
    return line + _health(config.get("Healthcheck"), image.get("Healthcheck"))


def _health(check: Facts | None, images: Facts | None) -> list[str]:
    if not check or check == images:
        return []
    test = check.get("Test") or []
    if test == ["NONE"]:
        return ["--no-healthcheck"]
    line = []
    if test and test != ((images or {}).get("Test") or []):
        line += ["--health-cmd", test[1] if test[0] == "CMD-SHELL" and len(test) > 1 else text(test[1:])]
    for key, flag in (
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("StartPeriod", "start-period"),
        ("StartInterval", "start-interval"),
    ):
        if check.get(key) and check[key] != (images or {}).get(key):
            line += [f"--health-{flag}", f"{check[key]}ns"]
    if check.get("Retries"):
        line += ["--health-retries", str(check["Retries"])]
    return line


def _ports(config: Facts, host: Facts, image: Facts) -> list[str]:
    line = []
    bindings = host.get("PortBindings") or {}
    for port, targets in bindings.items():
        for target in targets or []:
            address, number = target.get("HostIp") or "", target.get("HostPort") or ""
            address = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
            line += ["-p", f"{address}{number}:{port}" if number or address else port]
    if host.get("PublishAllPorts"):
        line.append("-P")
    exposed = [port for port in config.get("ExposedPorts") or {} if port not in bindings and port not in (image.get("ExposedPorts") or {})]
    return line + _pairs("--expose", exposed)


def _mounts(config: Facts, host: Facts, image: Facts) -> list[str]:
    line = _pairs("-v", host.get("Binds") or [])
    line += _pairs("--mount", [_mount(one) for one in host.get("Mounts") or []])
    line += _pairs("--tmpfs", [f"{path}:{rest}" if rest else path for path, rest in (host.get("Tmpfs") or {}).items()])
    line += _pairs("--volumes-from", host.get("VolumesFrom") or [])
    taken = {bind.split(":")[1] for bind in host.get("Binds") or [] if ":" in bind}
    line += _pairs("-v", [path for path in config.get("Volumes") or {} if path not in (image.get("Volumes") or {}) and path not in taken])
    return line + (["--volume-driver", host["VolumeDriver"]] if host.get("VolumeDriver") else [])


def _mount(one: Facts) -> str:
    parts = [f"type={one.get('Type')}"]
    parts += [f"source={one['Source']}"] if one.get("Source") else []
    parts.append(f"target={one.get('Target')}")
    parts += ["readonly"] if one.get("ReadOnly") else []
    bind, volume, tmpfs = one.get("BindOptions") or {}, one.get("VolumeOptions") or {}, one.get("TmpfsOptions") or {}
    parts += [f"bind-propagation={bind['Propagation']}"] if bind.get("Propagation") else []
    for key, word in (("NonRecursive", "disabled"), ("ReadOnlyNonRecursive", "writable"), ("ReadOnlyForceRecursive", "readonly")):
        parts += [f"bind-recursive={word}"] if bind.get(key) else []
    parts += ["volume-nocopy"] if volume.get("NoCopy") else []
    parts += [f"volume-subpath={volume['Subpath']}"] if volume.get("Subpath") else []
    parts += [f"volume-label={k}={v}" for k, v in (volume.get("Labels") or {}).items()]
    driver = volume.get("DriverConfig") or {}
    parts += [f"volume-driver={driver['Name']}"] if driver.get("Name") else []
    parts += [f"volume-opt={k}={v}" for k, v in (driver.get("Options") or {}).items()]
    parts += [f"tmpfs-size={tmpfs['SizeBytes']}"] if tmpfs.get("SizeBytes") else []
    parts += [f"tmpfs-mode={tmpfs['Mode']:o}"] if tmpfs.get("Mode") else []
    subpath = (one.get("ImageOptions") or {}).get("Subpath")
    parts += [f"image-subpath={subpath}"] if subpath else []
    # the flag is a CSV record: a part with a comma or a quote is quoted whole
    return ",".join('"' + part.replace('"', '""') + '"' if any(char in part for char in ',"\n') else part for part in parts)


def _networks(container: Facts, config: Facts, host: Facts) -> list[str]:
    mode = str(host.get("NetworkMode") or "")
    if mode.startswith("container:") or mode in ("host", "none"):
        return ["--network", mode]
    line = []
    found = (container.get("NetworkSettings") or {}).get("Networks") or {}
    names = sorted(found, key=lambda name: (name != mode, name))
    for name in names:
        end = found[name] or {}
        ipam = end.get("IPAMConfig") or {}
        parts = [f"alias={alias}" for alias in end.get("Aliases") or [] if alias != str(container.get("Id"))[:12]]
        parts += [f"{flag}={ipam[key]}" for key, flag in (("IPv4Address", "ip"), ("IPv6Address", "ip6")) if ipam.get(key)]
        parts += [f"link-local-ip={one}" for one in ipam.get("LinkLocalIPs") or []]
        parts += [f"driver-opt={k}={v}" for k, v in (end.get("DriverOpts") or {}).items()]
        parts += [f"gw-priority={end['GwPriority']}"] if end.get("GwPriority") else []
        if parts or len(names) > 1 or (mode not in _PLAIN_NETWORKS and name not in _PLAIN_NETWORKS):
            line += ["--network", ",".join([f"name={name}", *parts]) if parts else name]
    if config.get("MacAddress"):
        line += ["--mac-address", config["MacAddress"]]
    return line + _pairs("--link", [_link(one) for one in host.get("Links") or []])


def _link(one: str) -> str:
    target, _, alias = one.partition(":")
    return f"{target.removeprefix('/')}:{alias.rpartition('/')[2]}" if alias else target.removeprefix("/")


def _limits(host: Facts, info: Facts) -> list[str]:
    line = []
    for flag, key in _NUMBERS.items():
        value = host.get(key)
        if not value or (key == "ShmSize" and value == SHM_SIZE) or (key == "MemorySwap" and value == 2 * (host.get("Memory") or 0)):
            continue
        line += [f"--{flag}", f"{value / 1e9:.9f}".rstrip("0").rstrip(".") if key == "NanoCpus" else str(value)]
    cgroups = "private" if str(info.get("CgroupVersion")) == "2" else "host"
    default = {"IpcMode": "private", "CgroupnsMode": cgroups, "Runtime": info.get("DefaultRuntime"), "Isolation": "default"}
    for flag, key in _TEXTS.items():
        value = host.get(key)
        if value and key != "ContainerIDFile" and value != default.get(key):
            line += [f"--{flag}", value]
    if host.get("MemorySwappiness") not in (None, -1):
        line += ["--memory-swappiness", str(host["MemorySwappiness"])]
    for one in host.get("Ulimits") or []:
        line += ["--ulimit", f"{one.get('Name')}={one.get('Soft')}:{one.get('Hard')}"]
    return line


def _modes(host: Facts, info: Facts) -> list[str]:
    line = []
    for key, flag in (
        ("Privileged", "privileged"),
        ("ReadonlyRootfs", "read-only"),
        ("AutoRemove", "rm"),
        ("OomKillDisable", "oom-kill-disable"),
    ):
        line += [f"--{flag}"] if host.get(key) else []
    if host.get("Init") is not None:
        line.append("--init" if host["Init"] else "--init=false")
    policy = host.get("RestartPolicy") or {}
    if policy.get("Name") not in (None, "", "no"):
        times = policy.get("MaximumRetryCount")
        line += ["--restart", f"{policy['Name']}:{times}" if times else policy["Name"]]
    for flag, key in _LISTS.items():
        if key != "Links":
            line += _pairs(f"--{flag}", host.get(key) or [])
    for option in host.get("SecurityOpt") or []:
        if not (host.get("Privileged") and option == "label=disable") and not option.startswith(("seccomp={", "seccomp:{")):
            line += ["--security-opt", option]
    if host.get("MaskedPaths") == [] and host.get("ReadonlyPaths") == [] and not host.get("Privileged"):
        line += ["--security-opt", "systempaths=unconfined"]
    log = host.get("LogConfig") or {}
    if log.get("Type") and log["Type"] != info.get("LoggingDriver"):
        line += ["--log-driver", log["Type"]]
    for flag, values in (("log-opt", log.get("Config")), ("storage-opt", host.get("StorageOpt")), ("sysctl", host.get("Sysctls"))):
        line += _pairs(f"--{flag}", [f"{k}={v}" for k, v in (values or {}).items()])
    line += _pairs("--annotation", [f"{k}={v}" for k, v in (host.get("Annotations") or {}).items()])
    line += _pairs("--dns-option", host.get("DnsOptions") or [])
    return line + _pairs("--add-host", host.get("ExtraHosts") or [])


def _devices(host: Facts) -> list[str]:
    line = []
    for one in host.get("Devices") or []:
        line += ["--device", f"{one.get('PathOnHost')}:{one.get('PathInContainer')}:{one.get('CgroupPermissions') or 'rwm'}"]
    for request in host.get("DeviceRequests") or []:
        if request.get("Driver") == "cdi":
            line += _pairs("--device", request.get("DeviceIDs") or [])
        else:
            ids = ",".join(request.get("DeviceIDs") or [])
            line += ["--gpus", f'"device={ids}"' if ids else "all" if request.get("Count") == -1 else str(request.get("Count") or 1)]
    for key, flag in (
        ("BlkioWeightDevice", "blkio-weight-device"),
        ("BlkioDeviceReadBps", "device-read-bps"),
        ("BlkioDeviceWriteBps", "device-write-bps"),
        ("BlkioDeviceReadIOps", "device-read-iops"),
        ("BlkioDeviceWriteIOps", "device-write-iops"),
    ):
        for one in host.get(key) or []:
            line += [f"--{flag}", f"{one.get('Path')}:{one.get('Weight', one.get('Rate'))}"]
    return line


def _command(config: Facts, image: Facts) -> list[str]:
    entrypoint, command = config.get("Entrypoint") or [], config.get("Cmd") or []
    line = []
    changed = entrypoint != (image.get("Entrypoint") or [])
    if changed:
        line += ["--entrypoint", entrypoint[0] if entrypoint else ""]
    line.append(str(config.get("Image") or ""))
    if changed:
        return [*line, *entrypoint[1:], *command]
    return line if command == (image.get("Cmd") or []) else [*line, *command]
