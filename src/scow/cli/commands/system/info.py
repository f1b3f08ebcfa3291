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
        "Context": cli.env("DOCKER_CONTEXT") or cli.setting("currentContext") or "default",
    }
    try:
        server = cli.client.get("/version")
    except ScowError as exc:
        return client, None, exc.message if isinstance(exc, CannotConnect) else f"Error response from daemon: {exc.message}"
    client["ApiVersion"] = cli.client.version or min(
        ("1.51", str(server.get("ApiVersion"))), key=lambda text: [int(n) for n in text.split(".")]
    )
    return client, server, ""


def version(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows the versions of both sides."""
    client, server, problem = _versions(cli)
    fmt = options.text("format")
    if fmt:
        from scow.gotemplate import Template

        if server is not None:
            server = {**server, "APIVersion": server.get("ApiVersion"), "MinAPIVersion": server.get("MinAPIVersion", "")}
        data = {"Client": {**client, "APIVersion": client["ApiVersion"]}, "Server": server}
        cli.out(Template("{{json .}}" if fmt == "json" else fmt).render(data, "error") + "\n")
    else:
        cli.out(
            f"Client: Scow\n Version:           {client['Version']}\n API version:       {client['ApiVersion']}\n"
            f" OS/Arch:           {client['Os']}/{client['Arch']}\n Context:           {client['Context']}\n"
        )
        if server is not None:
            name = (server.get("Platform") or {}).get("Name") or ""
            text = f"\nServer: {name}".rstrip() + "\n"
            for part in server.get("Components") or [{"Name": "Engine", "Version": server.get("Version"), "Details": {}}]:
                details = part.get("Details") or {}
                text += f" {part['Name']}:\n  Version:          {part.get('Version')}\n"
                if part["Name"] == "Engine":
                    text += (
                        f"  API version:      {server.get('ApiVersion')} (minimum version {server.get('MinAPIVersion')})\n"
                        f"  OS/Arch:          {server.get('Os')}/{server.get('Arch')}\n"
                    )
                if details.get("GitCommit"):
                    text += f"  GitCommit:        {details['GitCommit']}\n"
            cli.out(text)
    if problem:
        raise ExitCode(1, problem)
    return 0


def _yes(value: object) -> str:
    return "true" if value else "false"


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
        f"Swarm: {swarm.get('LocalNodeState')}",
        f"Runtimes: {runtimes}",
        f"Default Runtime: {info.get('DefaultRuntime')}",
        f"Init Binary: {info.get('InitBinary')}",
        "Security Options:",
        *(
            " "
            + option.replace("name=", "").split(",")[0]
            + "".join(f"\n  {part.replace('=', ': ').title()}" for part in option.split(",")[1:])
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
    return lines


def info(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows facts about the engine."""
    import scow

    context = cli.env("DOCKER_CONTEXT") or cli.setting("currentContext") or "default"
    problem = ""
    try:
        facts = cli.client.get("/info")
    except ScowError as exc:
        facts = {}
        problem = exc.message if isinstance(exc, CannotConnect) else f"Error response from daemon: {exc.message}"
    client = {
        "Debug": False,
        "Version": scow.__version__,
        "Platform": {"Name": "Scow"},
        "Context": context,
        "Plugins": [],
        "Warnings": None,
    }
    fmt = options.text("format")
    if fmt:
        from scow.gotemplate import Template

        data = {**facts, "ClientInfo": client, **({"ServerErrors": [problem]} if problem else {})}
        cli.out(Template("{{json .}}" if fmt == "json" else fmt).render(data, "no value" if problem else "error") + "\n")
        if problem:
            raise ExitCode(1, problem)
        return 0
    cli.out(f"Client: Scow\n Version:    {scow.__version__}\n Context:    {context}\n Debug Mode: false\n\nServer:\n")
    if problem:
        raise ExitCode(1, f"ERROR: {problem}\nerrors pretty printing info")
    cli.out("".join(" " + line.replace("\n", "\n ") + "\n" for line in _lines(facts)) + "\n")
    for warning in facts.get("Warnings") or []:
        cli.err(f"{warning}\n")
    return 0


_FORMAT = ("format", "f", "string", "", "Format of the output: json, or a Go template")
VERSION = Command(" [OPTIONS]", "Show the Docker version information", (_FORMAT,), version, 0, 0)
INFO = Command(" [OPTIONS]", "Display system-wide information", (_FORMAT,), info, 0, 0)
