"""`scow info` and `scow version`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command, ExitCode
from scow.client.transport import CannotConnect
from scow.errors import ScowError
from scow.units import bytes_size

# what engines leave out when it is empty, and what a template sees then
_OPTIONAL: dict[str, Any] = {
    "CDISpecDirs": [],
    "Containerd": None,
    "DefaultAddressPools": [],
    "DiscoveredDevices": [],
    "FirewallBackend": None,
    "ProductLicense": "",
    "ServerErrors": [],
    "SystemTime": "",
    "Warnings": [],
}


def _versions(cli: Cli) -> tuple[dict[str, Any], dict[str, Any] | None, str]:
    import sys

    import scow

    machine = sys.implementation._multiarch.partition("-")[0] if hasattr(sys.implementation, "_multiarch") else "x86_64"
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    client: dict[str, Any] = {
        "Platform": {"Name": "Scow"},
        "Version": scow.__version__,
        "ApiVersion": "1.51",
        "DefaultAPIVersion": "1.51",
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": arch,
        "BuildTime": "",
        "Context": cli.context,
    }
    try:
        server = cli.client.get("/version")
    except ScowError as exc:
        return client, None, exc.message if isinstance(exc, CannotConnect) else f"Error response from daemon: {exc.message}"
    client["ApiVersion"] = cli.client.version or min(
        ("1.51", str(server.get("ApiVersion"))), key=lambda text: [int(n) for n in text.split(".")]
    )
    return client, server, ""


def _client_text(client: dict[str, Any]) -> str:
    import sys

    spoken, newest = client["ApiVersion"], client["DefaultAPIVersion"]
    return (
        f"Client: Scow\n Version:           {client['Version']}\n"
        f" API version:       {spoken}{f' (downgraded from {newest})' if spoken != newest else ''}\n"
        f" Python version:    {sys.version.partition(' ')[0]}\n"
        f" OS/Arch:           {client['Os']}/{client['Arch']}\n Context:           {client['Context']}\n"
    )


def _server_text(server: dict[str, Any]) -> str:
    name = (server.get("Platform") or {}).get("Name") or ""
    text = f"\nServer: {name}".rstrip() + "\n"
    for part in server.get("Components") or [{"Name": "Engine", "Version": server.get("Version"), "Details": {}}]:
        details = part.get("Details") or {}
        lines = [("Version", part.get("Version"))]
        if part["Name"] == "Engine":
            lines += [
                ("API version", f"{server.get('ApiVersion')} (minimum version {server.get('MinAPIVersion')})"),
                ("Go version", details.get("GoVersion") or server.get("GoVersion")),
                ("Git commit", details.get("GitCommit") or server.get("GitCommit")),
                ("Built", _built(details.get("BuildTime") or server.get("BuildTime") or "")),
                ("OS/Arch", f"{server.get('Os')}/{server.get('Arch')}"),
                ("Experimental", details.get("Experimental") or _yes(server.get("Experimental"))),
            ]
            lines = [(title, value) for title, value in lines if value or title == "Version"]
        elif "GitCommit" in details:
            lines.append(("GitCommit", details["GitCommit"]))
        text += f" {part['Name']}:\n" + "".join(f"  {title + ':':<18}{value or ''}\n" for title, value in lines)
    return text


def _built(text: str) -> str:
    """A build time as Go's ANSIC writes it; other texts stay as they are."""
    import time

    try:
        return time.asctime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return text


def version(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows the versions of both sides."""
    client, server, problem = _versions(cli)
    fmt = options.text("format")
    if fmt:
        from scow.cli.format.document import render

        if server is not None:
            server = {**server, "APIVersion": server.get("ApiVersion"), "MinAPIVersion": server.get("MinAPIVersion", "")}
        data = {"Client": {**client, "APIVersion": client["ApiVersion"]}, "Server": server}
        text, wrong = render([data], fmt, {}, "system.versionInfo")
        cli.out(text)
        if wrong:
            raise ExitCode(1, wrong)
    else:
        cli.out(_client_text(client))
        if server is not None:
            cli.out(_server_text(server))
    if problem:
        raise ExitCode(1, problem)
    return 0


def _yes(value: object) -> str:
    return "true" if value else "false"


def _option(part: str) -> str:
    key, _, value = part.partition("=")
    return f"{key.title()}: {value}"


def _cdi(info: dict[str, Any]) -> list[str]:
    lines = ["CDI spec directories:", *(f" {folder}" for folder in info["CDISpecDirs"])] if info.get("CDISpecDirs") else []
    if info.get("DiscoveredDevices"):
        lines += ["Discovered Devices:", *(f" {one.get('Source')}: {one.get('ID')}" for one in info["DiscoveredDevices"])]
    return lines


def _swarm(swarm: dict[str, Any]) -> list[str]:
    if swarm.get("LocalNodeState") in (None, "", "inactive", "locked"):
        return []
    lines = [f" NodeID: {swarm.get('NodeID')}"]
    if swarm.get("Error"):
        lines.append(f" Error: {swarm['Error']}")
    lines.append(f" Is Manager: {_yes(swarm.get('ControlAvailable'))}")
    cluster = swarm.get("Cluster")
    if swarm.get("ControlAvailable") and cluster and not swarm.get("Error"):
        from scow.units import human_duration

        spec = cluster.get("Spec") or {}
        raft, ca = spec.get("Raft") or {}, spec.get("CAConfig") or {}
        lines += [
            f" ClusterID: {cluster.get('ID')}",
            f" Managers: {swarm.get('Managers')}",
            f" Nodes: {swarm.get('Nodes')}",
            *([f" Default Address Pool: {'  '.join(cluster['DefaultAddrPool'])}  "] if cluster.get("DefaultAddrPool") else []),
            f" SubnetSize: {cluster.get('SubnetSize')}",
            f" Data Path Port: {cluster.get('DataPathPort')}",
            " Orchestration:",
            f"  Task History Retention Limit: {(spec.get('Orchestration') or {}).get('TaskHistoryRetentionLimit')}",
            " Raft:",
            f"  Snapshot Interval: {raft.get('SnapshotInterval')}",
            *([f"  Number of Old Snapshots to Retain: {raft['KeepOldSnapshots']}"] if raft.get("KeepOldSnapshots") is not None else []),
            f"  Heartbeat Tick: {raft.get('HeartbeatTick')}",
            f"  Election Tick: {raft.get('ElectionTick')}",
            " Dispatcher:",
            f"  Heartbeat Period: {human_duration((spec.get('Dispatcher') or {}).get('HeartbeatPeriod') or 0)}",
            " CA Configuration:",
            f"  Expiry Duration: {human_duration(ca.get('NodeCertExpiry') or 0)}",
            f"  Force Rotate: {ca.get('ForceRotate') or 0}",
            f" Autolock Managers: {_yes((spec.get('EncryptionConfig') or {}).get('AutoLockManagers'))}",
            f" Root Rotation In Progress: {_yes(cluster.get('RootRotationInProgress'))}",
        ]
    lines.append(f" Node Address: {swarm.get('NodeAddr')}")
    managers = sorted(one.get("Addr") or "" for one in swarm.get("RemoteManagers") or [])
    return [*lines, " Manager Addresses:", *(f"  {one}" for one in managers)] if managers else lines


def _lines(info: dict[str, Any]) -> list[str]:
    swarm = info.get("Swarm") or {}
    runtimes = " ".join(sorted(info.get("Runtimes") or {}))
    lines = [
        f"Containers: {info.get('Containers')}",
        f" Running: {info.get('ContainersRunning')}",
        f" Paused: {info.get('ContainersPaused')}",
        f" Stopped: {info.get('ContainersStopped')}",
        f"Images: {info.get('Images')}",
        f"Server Version: {info.get('ServerVersion')}",
        f"Storage Driver: {info.get('Driver')}",
        *(f" {pair[0]}: {pair[1]}" for pair in info.get("DriverStatus") or []),
        f"Logging Driver: {info.get('LoggingDriver')}",
        f"Cgroup Driver: {info.get('CgroupDriver')}",
        f"Cgroup Version: {info.get('CgroupVersion')}",
        "Plugins:",
        *(f" {kind}: {' '.join(found or [])}" for kind, found in (info.get("Plugins") or {}).items() if found),
        *_cdi(info),
        f"Swarm: {swarm.get('LocalNodeState')}",
        *_swarm(swarm),
        f"Runtimes: {runtimes}",
        f"Default Runtime: {info.get('DefaultRuntime')}",
        f"Init Binary: {info.get('InitBinary')}",
        f"containerd version: {(info.get('ContainerdCommit') or {}).get('ID') or ''}",
        f"runc version: {(info.get('RuncCommit') or {}).get('ID') or ''}",
        f"init version: {(info.get('InitCommit') or {}).get('ID') or ''}",
        "Security Options:",
        *(
            " " + option.replace("name=", "").split(",")[0] + "".join(f"\n  {_option(part)}" for part in option.split(",")[1:])
            for option in info.get("SecurityOptions") or []
        ),
        f"Kernel Version: {info.get('KernelVersion')}",
        f"Operating System: {info.get('OperatingSystem')}",
        f"OSType: {info.get('OSType')}",
        f"Architecture: {info.get('Architecture')}",
        f"CPUs: {info.get('NCPU')}",
        f"Total Memory: {bytes_size(info.get('MemTotal') or 0)}",
        f"Name: {info.get('Name')}",
        f"ID: {info.get('ID')}",
        f"Docker Root Dir: {info.get('DockerRootDir')}",
        f"Debug Mode: {_yes(info.get('Debug'))}",
    ]
    if info.get("Debug"):
        lines += [
            f" File Descriptors: {info.get('NFd')}",
            f" Goroutines: {info.get('NGoroutines')}",
            f" System Time: {info.get('SystemTime')}",
            f" EventsListeners: {info.get('NEventsListener')}",
        ]
    for key, title in (("HttpProxy", "HTTP Proxy"), ("HttpsProxy", "HTTPS Proxy"), ("NoProxy", "No Proxy")):
        if info.get(key):
            lines.append(f"{title}: {info[key]}")
    if info.get("Labels"):
        lines += ["Labels:", *(f" {label}" for label in info["Labels"])]
    lines.append(f"Experimental: {_yes(info.get('ExperimentalBuild'))}")
    registry = info.get("RegistryConfig") or {}
    insecure = [name for name, index in (registry.get("IndexConfigs") or {}).items() if not index.get("Secure")]
    lines += [
        "Insecure Registries:",
        *(f" {name}" for name in insecure),
        *(f" {cidr}" for cidr in registry.get("InsecureRegistryCIDRs") or []),
    ]
    if registry.get("Mirrors"):
        lines += ["Registry Mirrors:", *(f" {mirror}" for mirror in registry["Mirrors"])]
    lines.append(f"Live Restore Enabled: {_yes(info.get('LiveRestoreEnabled'))}")
    if info.get("ProductLicense"):
        lines.append(f"Product License: {info['ProductLicense']}")
    if info.get("DefaultAddressPools"):
        lines += ["Default Address Pools:", *(f"  Base: {one.get('Base')}, Size: {one.get('Size')}" for one in info["DefaultAddressPools"])]
    firewall = info.get("FirewallBackend")
    if firewall:
        lines.append(f"Firewall Backend: {firewall.get('Driver')}")
        lines += [f" {pair[0]}: {pair[1]}" for pair in firewall.get("Info") or []]
    return lines


def info(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows facts about the engine."""
    import scow

    problem = ""
    try:
        facts = cli.client.get("/info")
    except ScowError as exc:
        facts = {}
        problem = exc.message if isinstance(exc, CannotConnect) else f"Error response from daemon: {exc.message}"
    fmt = options.text("format")
    plugins: list[dict[str, Any]] = []
    if fmt in ("", "json") or "Client" in fmt or "json" in fmt:
        from scow.cli.plugins import candidates

        plugins = candidates(cli)
    client = {
        "Debug": False,
        "Version": scow.__version__,
        "Platform": {"Name": "Scow"},
        "Context": cli.context,
        "Plugins": plugins,
        "Warnings": None,
    }
    if fmt:
        from scow.cli.format.document import render

        data = {**facts, "ClientInfo": client, **({"ServerErrors": [problem]} if problem else {})}
        kind, missing = ("", "no value") if problem else ("system.dockerInfo", "error")
        shown, wrong = render([data], fmt, _OPTIONAL, kind, missing)
        cli.out(shown)
        if wrong:
            raise ExitCode(1, wrong)
        if problem:
            raise ExitCode(1, problem)
        return 0
    text = f"Client: Scow\n Version:    {scow.__version__}\n Context:    {cli.context}\n Debug Mode: false\n"
    valid = [one for one in plugins if not one.get("Err")]
    if valid:
        text += " Plugins:\n"
    for one in valid:
        text += f"  {one['Name']}: {one.get('ShortDescription', '')} ({one['Vendor']})\n"
        text += f"    Version:  {one['Version']}\n" if one.get("Version") else ""
        text += f"    Path:     {one['Path']}\n"
    cli.out(text + "\nServer:\n")
    if problem:
        raise ExitCode(1, f"ERROR: {problem}\nerrors pretty printing info")
    cli.out("".join(" " + line.replace("\n", "\n ") + "\n" for line in _lines(facts)) + "\n")
    for one in plugins:
        if one.get("Err"):
            cli.err(f'WARNING: Plugin "{one["Path"]}" is not valid: {one["Err"]}\n')
    for warning in facts.get("Warnings") or []:
        cli.err(f"{warning}\n")
    return 0


_FORMAT = ("format", "f", "string", "", "Format of the output: json, or a Go template")
VERSION = Command(" [OPTIONS]", "Show the Docker version information", (_FORMAT,), version, 0, 0)
INFO = Command(" [OPTIONS]", "Display system-wide information", (_FORMAT,), info, 0, 0)
