"""What clients see of a container: inspect, the entries of lists. Replies are built once for each change and kept encoded.

Called by the API and by `listing.py`. Nothing is stored; a kept reply is dropped when the container's version, its execs or the state of
its image name differ. Callers must not change the dicts they get.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from scow.containers import shapes
from scow.containers.container import Container
from scow.containers.lifecycle import Health, State, Status
from scow.errors import NotFound
from scow.model.network import EndpointSettings
from scow.units import human_duration, rfc3339nano
from scow.volumes.mounts import view as mount_view

_STATUS_MARK = b'"\\u0000status"'
_TRIM = 64


class NetworkView(Protocol):
    """A container's place in the network while it runs."""

    @property
    def sandbox_id(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def ports(self) -> Mapping[str, list[dict[str, str]] | None]: ...
    @property
    def networks(self) -> Mapping[str, EndpointSettings]: ...


class Networks(Protocol):
    """The part of NetworkService used here."""

    def settings(self, container_id: str) -> NetworkView | None: ...


class Images(Protocol):
    """The part of ImageService used here."""

    async def rootfs_size(self, container_id: str) -> tuple[int, int]: ...


def health_view(health: Health) -> dict[str, Any]:
    """State.Health of inspect."""
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {"Start": rfc3339nano(probe.start_ns), "End": rfc3339nano(probe.end_ns), "ExitCode": probe.exit_code, "Output": probe.output}
            for probe in health.log
        ],
    }


def state_view(state: State) -> dict[str, Any]:
    """State of inspect."""
    out: dict[str, Any] = {
        "Status": str(state.status),
        "Running": state.running,
        "Paused": state.paused,
        "Restarting": state.restarting,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339nano(state.started_ns),
        "FinishedAt": rfc3339nano(state.finished_ns),
    }
    if state.health is not None:
        out["Health"] = health_view(state.health)
    return out


def status_text(state: State, now_ns: int) -> str:
    """The Status column of ps."""
    if state.running:
        if state.restarting:
            return f"Restarting ({state.exit_code}) {human_duration(now_ns - state.finished_ns)} ago"
        up = f"Up {human_duration(now_ns - state.started_ns)}"
        if state.paused:
            return f"{up} (Paused)"
        if state.health is not None:
            return f"{up} ({'health: ' if state.health.status == 'starting' else ''}{state.health.status})"
        return up
    if state.status is Status.REMOVING:
        return "Removal In Progress"
    if state.status is Status.DEAD:
        return "Dead"
    if not state.started_ns:
        return "Created"
    if not state.finished_ns:
        return ""
    return f"Exited ({state.exit_code}) {human_duration(now_ns - state.finished_ns)} ago"


class View:
    """Builds and keeps the replies."""

    def __init__(
        self,
        networks: Networks,
        images: Images,
        graph: Callable[[str], Mapping[str, str]] | None = None,
        clock: Callable[[], int] = time.time_ns,
        living: Callable[[], set[str]] | None = None,
        manifest: Callable[[str], dict[str, Any] | None] | None = None,
    ) -> None:
        """`graph(container id)` gives GraphDriver.Data; `clock` the time in nanoseconds; `living` the ids there are (what else is kept
        is dropped now and then); `manifest(image id)` the descriptor an image came as."""
        self._networks = networks
        self._images = images
        self._graph = graph
        self._clock = clock
        self._living = living
        self._manifest = manifest
        self._trim_at = _TRIM
        self._inspects: dict[str, tuple[tuple[Any, ...], bytes]] = {}
        self._summaries: dict[str, tuple[tuple[Any, ...], tuple[bytes, bytes]]] = {}

    def forget(self, container_id: str) -> None:
        """Drop what is kept of a container (it is gone, or its network changed underneath)."""
        self._inspects.pop(container_id, None)
        self._summaries.pop(container_id, None)

    def _trim(self) -> None:
        """Drop what is kept of containers that are gone, each time that much has gathered."""
        if self._living is None or max(len(self._inspects), len(self._summaries)) < self._trim_at:
            return
        living = self._living()
        kept: dict[str, Any]
        for kept in (self._inspects, self._summaries):
            for gone in kept.keys() - living:
                del kept[gone]
        self._trim_at = 2 * len(living) + _TRIM

    # --- inspect

    def inspect(self, container: Container) -> dict[str, Any]:
        """Docker's container inspect of API 1.51, without sizes."""
        state, host = container.state, container.host
        started = state.started_ns != 0
        log_path = ""
        if container.log is not None and container.log.path is not None and container.log.driver == "json-file" and started:
            log_path = str(container.log.path)
        out: dict[str, Any] = {
            "Id": container.id,
            "Created": rfc3339nano(container.created_ns),
            "Path": container.path,
            "Args": list(container.args),
            "State": state_view(state),
            "Image": container.image_id,
            "ResolvConfPath": str(container.dir / "resolv.conf") if started else "",
            "HostnamePath": str(container.dir / "hostname") if started else "",
            "HostsPath": str(container.dir / "hosts") if started else "",
            "LogPath": log_path,
            "Name": f"/{container.name}",
            "RestartCount": state.restart_count,
            "Driver": container.driver,
            "Platform": container.platform,
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": sorted(container.exec_ids) or None,
            "HostConfig": shapes.host_config(host, container.name),
            "GraphDriver": {"Data": self._graph_data(container.id), "Name": container.driver},
            "Mounts": [mount_view(mount) for mount in container.mounts],
            "Config": shapes.config(container.config),
            "NetworkSettings": self.network_settings(container),
        }
        if self._manifest is not None and (came_as := self._manifest(container.image_id)) is not None:
            out["ImageManifestDescriptor"] = came_as
        return out

    def inspect_bytes(self, container: Container) -> bytes:
        """`inspect` encoded; from memory unless something changed."""
        key = (container.version, container.state, container.name, frozenset(container.exec_ids) if container.exec_ids else None)
        kept = self._inspects.get(container.id)
        if kept is not None and kept[0] == key:
            return kept[1]
        self._trim()
        data = orjson.dumps(self.inspect(container))
        self._inspects[container.id] = (key, data)
        return data

    async def inspect_sized(self, container: Container) -> dict[str, Any]:
        """`inspect` with SizeRw and SizeRootFs, which walk the container's own layer."""
        read_write, root = await self._images.rootfs_size(container.id)
        return {**self.inspect(container), "SizeRw": read_write, "SizeRootFs": root}

    def _graph_data(self, container_id: str) -> dict[str, str] | None:
        if self._graph is None:
            return None
        try:
            return dict(self._graph(container_id)) or None
        except NotFound:
            return None

    def _live(self, container: Container) -> NetworkView | None:
        if not container.state.alive:
            return None
        try:
            return self._networks.settings(container.id)
        except NotFound:
            return None

    def published(self, container: Container) -> set[str]:
        """The host ports that lead to a container now, as `8080/tcp`."""
        live = self._live(container)
        ports = live.ports if live else {}
        return {f"{one['HostPort']}/{port.rpartition('/')[2]}" for port, found in ports.items() for one in found or ()}

    def network_settings(self, container: Container) -> dict[str, Any]:
        """NetworkSettings of inspect, with the old fields that mirror the default bridge."""
        live = self._live(container)
        endpoints = self._endpoints(container, live)
        networks = {name: shapes.endpoint(value, live is not None) for name, value in endpoints.items()}
        bridge = networks.get("bridge", {})
        return {
            "Bridge": "",
            "SandboxID": live.sandbox_id if live else "",
            "SandboxKey": str(live.key) if live else "",
            "Ports": {port: bindings or None for port, bindings in live.ports.items()} if live else {},
            "HairpinMode": False,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": None,
            "SecondaryIPv6Addresses": None,
            "EndpointID": bridge.get("EndpointID", ""),
            "Gateway": bridge.get("Gateway", ""),
            "GlobalIPv6Address": bridge.get("GlobalIPv6Address", ""),
            "GlobalIPv6PrefixLen": bridge.get("GlobalIPv6PrefixLen", 0),
            "IPAddress": bridge.get("IPAddress", ""),
            "IPPrefixLen": bridge.get("IPPrefixLen", 0),
            "IPv6Gateway": bridge.get("IPv6Gateway", ""),
            "MacAddress": bridge.get("MacAddress", "") if live else "",
            "Networks": networks,
        }

    @staticmethod
    def _endpoints(container: Container, live: NetworkView | None) -> Mapping[str, EndpointSettings]:
        if live is not None and live.networks:
            return {**container.networks, **live.networks} if container.networks.keys() <= live.networks.keys() else live.networks
        return container.networks

    # --- lists

    def summary(self, container: Container, image: str, extra_names: list[str] | None = None) -> dict[str, Any]:
        """An entry of the list. `image` is what its Image column shows; `extra_names` are those of legacy links."""
        out = self._summary(container, image, extra_names or [])
        out["Status"] = status_text(container.state, self._clock())
        return out

    async def summary_sized(self, container: Container, image: str, extra_names: list[str] | None = None) -> dict[str, Any]:
        """`summary` with SizeRw and SizeRootFs."""
        read_write, root = await self._images.rootfs_size(container.id)
        return {**self.summary(container, image, extra_names), "SizeRw": read_write, "SizeRootFs": root}

    def summary_bytes(self, container: Container, image: str, extra_names: list[str] | None = None) -> bytes:
        """`summary` encoded; only the Status text is made anew."""
        key = (container.version, container.state, container.name, image, extra_names)
        kept = self._summaries.get(container.id)
        if kept is None or kept[0] != key:
            self._trim()
            text = orjson.dumps(self._summary(container, image, extra_names or []))
            head, _, tail = text.partition(_STATUS_MARK)
            kept = self._summaries[container.id] = (key, (head, tail))
        head, tail = kept[1]
        return b'%b"%b"%b' % (head, status_text(container.state, self._clock()).encode(), tail)

    def _summary(self, container: Container, image: str, extra_names: list[str]) -> dict[str, Any]:
        live = self._live(container)
        host: dict[str, Any] = {"NetworkMode": container.host.network_mode or "default"}
        if container.host.annotations:
            host["Annotations"] = dict(container.host.annotations)
        return {
            "Id": container.id,
            "Status": "\0status",  # before anything a user may write, so that the mark is found
            "Names": [f"/{container.name}", *extra_names],
            "Image": image,
            "ImageID": container.image_id,
            "Command": shapes.command(container.path, container.args),
            "Created": container.created_ns // 1_000_000_000,
            "Ports": shapes.port_list(live.ports) if live else [],
            "Labels": dict(container.config.labels),
            "State": str(container.state.status),
            "HostConfig": host,
            "NetworkSettings": {
                "Networks": {
                    name: shapes.endpoint(value, live is not None, brief=True) for name, value in self._endpoints(container, live).items()
                }
            },
            "Mounts": [mount_view(mount) for mount in container.mounts],
        }
