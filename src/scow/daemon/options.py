"""The daemon's options: one frozen value, filled from flags and the configuration file. The names and meanings are dockerd's.

A field's metadata says how it is written: `flag`, `short`, `key` (in the file), `kind`, whether a SIGHUP re-reads it, whether it works yet.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def opt(
    flag: str, default: Any, kind: str = "", key: str = "", short: str = "", reload: bool = False, works: bool = True, help: str = ""
) -> Any:
    """A field for one option. `kind`: bool, int, str, size, list, map (k=v) or a name parsed in `config`; guessed from the default."""
    kind = kind or {bool: "bool", int: "int", str: "str", tuple: "list"}.get(type(default), "str")
    meta = {"flag": flag, "key": key or flag, "kind": kind, "short": short, "reload": reload, "works": works, "help": help}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=meta)
    return field(default=default, metadata=meta)


def _empty_map(flag: str, key: str = "", reload: bool = False, works: bool = True, help: str = "", kind: str = "map") -> Any:
    return opt(flag, {}, kind, key, reload=reload, works=works, help=help)


@dataclass(frozen=True, eq=False, repr=False)
class Options:
    """Every option at its value; see the module docstring."""

    # sockets and TLS
    hosts: tuple[str, ...] = opt("host", (), key="hosts", short="H", help="Daemon socket(s) to connect to")
    docker_socket: bool = opt("docker-socket", False, help="Also listen on /var/run/docker.sock")
    insecure_tcp: bool = opt("insecure-tcp", False, help="Allow TCP without TLS: whoever reaches the port is root on this host")
    tls: bool = opt("tls", False, help="Use TLS; implied by --tlsverify")
    tlsverify: bool = opt("tlsverify", False, help="Use TLS and verify the remote")
    tlscacert: str = opt("tlscacert", "/etc/scow/ca.pem", help="Trust certs signed only by this CA")
    tlscert: str = opt("tlscert", "/etc/scow/cert.pem", help="Path to TLS certificate file")
    tlskey: str = opt("tlskey", "/etc/scow/key.pem", help="Path to TLS key file")
    group: str = opt("group", "docker", short="G", help="Group for the unix socket")
    containerd: str = opt("containerd", "", works=False)
    containerd_namespace: str = opt("containerd-namespace", "moby", works=False)
    containerd_plugins_namespace: str = opt("containerd-plugins-namespace", "plugins.moby", works=False)
    cri_containerd: bool = opt("cri-containerd", False, works=False)
    min_api_version: str = opt("min-api-version", "", works=False)
    # files and process
    config_file: str = opt("config-file", "/etc/scow/scow.json", key="-", help="Daemon configuration file")
    data_root: str = opt("data-root", "/var/lib/scow", help="Root directory of persistent state")
    exec_root: str = opt("exec-root", "/run/scow", help="Root directory for execution state files")
    pidfile: str = opt("pidfile", "/run/scow.pid", short="p", help="Path to use for daemon PID file")
    debug: bool = opt("debug", False, short="D", reload=True, help="Enable debug mode")
    log_level: str = opt("log-level", "info", short="l", help='Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")')
    log_format: str = opt("log-format", "text", help='Set the logging format ("text"|"json")')
    raw_logs: bool = opt("raw-logs", False)
    validate: bool = opt("validate", False, key="-", help="Validate daemon configuration and exit")
    live_restore: bool = opt("live-restore", True, reload=True, help="Containers live on while the daemon is away (default true)")
    shutdown_timeout: int = opt("shutdown-timeout", 15, reload=True, help="Seconds for containers to stop in, without live restore")
    default_stop_timeout: int = opt("default-stop-timeout", 10, reload=True, help="Default stop timeout of containers, in seconds")
    experimental: bool = opt("experimental", False, works=False)
    features: dict[str, Any] = _empty_map("feature", "features", reload=True, works=False)
    metrics_addr: str = opt("metrics-addr", "", works=False)
    labels: tuple[str, ...] = opt("label", (), key="labels", reload=True, help="Set key=value labels to the daemon")
    rootless: bool = opt("rootless", False, works=False)
    http_proxy: str = opt("http-proxy", "", key="proxies.http-proxy")
    https_proxy: str = opt("https-proxy", "", key="proxies.https-proxy")
    no_proxy: str = opt("no-proxy", "", key="proxies.no-proxy")
    node_generic_resources: tuple[str, ...] = opt("node-generic-resource", (), key="node-generic-resources")
    restart: bool = opt("restart", True, short="r", works=False)
    # images and registries
    registry_mirrors: tuple[str, ...] = opt("registry-mirror", (), key="registry-mirrors", reload=True)
    insecure_registries: tuple[str, ...] = opt("insecure-registry", (), key="insecure-registries", reload=True)
    max_concurrent_downloads: int = opt("max-concurrent-downloads", 3, reload=True)
    max_concurrent_uploads: int = opt("max-concurrent-uploads", 5, reload=True)
    max_download_attempts: int = opt("max-download-attempts", 5, reload=True)
    storage_driver: str = opt("storage-driver", "", short="s", help="Storage driver to use (overlay2)")
    storage_opts: tuple[str, ...] = opt("storage-opt", (), key="storage-opts", works=False)
    builder: dict[str, Any] = _empty_map("-", "builder", kind="object")
    # defaults of containers
    runtimes: dict[str, Any] = _empty_map(
        "add-runtime", "runtimes", reload=True, kind="runtimes", help="Register an OCI runtime (name=path)"
    )
    default_runtime: str = opt("default-runtime", "crun", reload=True, help="Default OCI runtime for containers")
    init: bool = opt("init", False, help="Run an init in containers")
    init_path: str = opt("init-path", "", help="Path to the init program")
    exec_opts: tuple[str, ...] = opt("exec-opt", (), key="exec-opts", help="Runtime execution options (native.cgroupdriver=cgroupfs)")
    cgroup_parent: str = opt("cgroup-parent", "", help="Set parent cgroup for all containers")
    default_cgroupns_mode: str = opt("default-cgroupns-mode", "", reload=True, help='Default cgroup namespace mode ("host" | "private")')
    default_ipc_mode: str = opt("default-ipc-mode", "private", reload=True, help='Default IPC mode ("shareable" | "private")')
    default_shm_size: int = opt("default-shm-size", 64 << 20, "size", reload=True, help="Default shm size for containers")
    default_ulimits: dict[str, Any] = _empty_map(
        "default-ulimit", "default-ulimits", kind="ulimits", help="Default ulimits (nofile=1024:2048)"
    )
    cpu_rt_period: int = opt("cpu-rt-period", 0, works=False)
    cpu_rt_runtime: int = opt("cpu-rt-runtime", 0, works=False)
    seccomp_profile: str = opt("seccomp-profile", "", help='Path to seccomp profile, or "unconfined"')
    no_new_privileges: bool = opt("no-new-privileges", False, help="Set no-new-privileges by default for new containers")
    selinux_enabled: bool = opt("selinux-enabled", False, works=False)
    userns_remap: str = opt("userns-remap", "", works=False)
    authorization_plugins: tuple[str, ...] = opt("authorization-plugin", (), key="authorization-plugins", reload=True, works=False)
    cdi_spec_dirs: tuple[str, ...] = opt("cdi-spec-dir", (), key="cdi-spec-dirs", works=False)
    nri_opts: str = opt("nri-opts", "", works=False)
    log_driver: str = opt("log-driver", "json-file", help="Default driver for container logs")
    log_opts: dict[str, Any] = _empty_map("log-opt", "log-opts", help="Default log driver options for containers")
    # network
    bridge: str = opt("bridge", "", short="b", help="Attach containers to this bridge; none disables the default network")
    bip: str = opt("bip", "", help="Address of the default bridge (CIDR)")
    bip6: str = opt("bip6", "", help="IPv6 address of the default bridge (CIDR)")
    fixed_cidr: str = opt("fixed-cidr", "", help="IPv4 subnet for the default bridge network")
    fixed_cidr_v6: str = opt("fixed-cidr-v6", "", help="IPv6 subnet for the default bridge network")
    default_gateway: str = opt("default-gateway", "", help="IPv4 gateway of the default bridge network")
    default_gateway_v6: str = opt("default-gateway-v6", "", help="IPv6 gateway of the default bridge network")
    icc: bool = opt("icc", True, help="Inter-container communication on the default network")
    ip: str = opt("ip", "0.0.0.0", help="Host IP for published ports")
    ip_forward: bool = opt("ip-forward", True, help="Enable IP forwarding")
    ip_forward_no_drop: bool = opt("ip-forward-no-drop", False, works=False)
    ip_masq: bool = opt("ip-masq", True, help="Enable IP masquerading")
    iptables: bool = opt("iptables", True, help="Program the host's firewall (with nftables)")
    ip6tables: bool = opt("ip6tables", True, help="As --iptables, for IPv6 (one table serves both)")
    firewall_backend: str = opt("firewall-backend", "nftables", works=False)
    ipv6: bool = opt("ipv6", False, help="IPv6 on the default bridge network")
    mtu: int = opt("mtu", 0, help="MTU of the default bridge network")
    userland_proxy: bool = opt("userland-proxy", True, works=False)
    userland_proxy_path: str = opt("userland-proxy-path", "", works=False)
    allow_direct_routing: bool = opt("allow-direct-routing", False, works=False)
    bridge_accept_fwmark: str = opt("bridge-accept-fwmark", "", works=False)
    default_address_pools: tuple[Any, ...] = opt(
        "default-address-pool", (), "pools", "default-address-pools", help="Default address pools for networks (base=…,size=…)"
    )
    default_network_opts: dict[str, Any] = _empty_map(
        "default-network-opt", "default-network-opts", kind="object", help="Default options of networks (driver=option=value)"
    )
    publish_policy: str = opt(
        "publish-policy", "open", help='Who reaches published ports ("open" | "loopback" | "user": the chain published of inet scow_user)'
    )
    dns: tuple[str, ...] = opt("dns", (), help="DNS servers for containers")
    dns_opts: tuple[str, ...] = opt("dns-opt", (), key="dns-opts", help="DNS options")
    dns_search: tuple[str, ...] = opt("dns-search", (), help="DNS search domains")
    host_gateway_ips: tuple[str, ...] = opt("host-gateway-ip", (), key="host-gateway-ips", help="Address of host-gateway in extra hosts")
    network_control_plane_mtu: int = opt("network-control-plane-mtu", 1500, works=False)
    swarm_default_advertise_addr: str = opt("swarm-default-advertise-addr", "", works=False)
    swarm_encryption_port: int = opt(
        "swarm-encryption-port", 51820, help="UDP port of WireGuard, for encrypted overlay networks; the next one is used, too"
    )
    swarm_raft_heartbeat_tick: int = opt("-", 0, key="swarm-raft-heartbeat-tick", works=False)
    swarm_raft_election_tick: int = opt("-", 0, key="swarm-raft-election-tick", works=False)
    resolv_conf: str = opt("-", "", key="resolv-conf")

    @property
    def paths(self) -> "Paths":
        """Where everything lives."""
        return Paths(Path(self.data_root), Path(self.exec_root))

    @property
    def level(self) -> str:
        """The effective log level."""
        return "debug" if self.debug else self.log_level


@dataclass(frozen=True, slots=True)
class Paths:
    """The two roots: `data` survives a reboot, `run` does not."""

    data: Path
    run: Path


@dataclass(frozen=True, slots=True)
class Option:
    """How one field is written."""

    attribute: str
    flag: str
    short: str
    key: str
    kind: str
    reload: bool
    works: bool
    help: str
    default: Any


def table() -> list[Option]:
    """All options in the order of the fields."""
    out = []
    for spec in dataclasses.fields(Options):
        meta = spec.metadata
        default = {} if spec.default is dataclasses.MISSING else spec.default
        out.append(
            Option(spec.name, meta["flag"], meta["short"], meta["key"], meta["kind"], meta["reload"], meta["works"], meta["help"], default)
        )
    return out
