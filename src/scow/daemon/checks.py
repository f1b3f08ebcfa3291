"""What the daemon's options must satisfy, with dockerd's sentences where it has one. Called when options are read (start, `--validate`,
reload). What is costly to import is imported where an option needs it: most daemons start without.
"""

import os
import re
from typing import Any

from scow.daemon.options import Options, table
from scow.errors import InvalidArgument

_LEVELS = ("debug", "info", "warn", "error", "fatal")
_LABEL = re.compile(r"[^=]+=.*\Z", re.DOTALL)
_RUNTIME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_INTERFACE = re.compile(r"[^\s/:]{1,15}\Z")
_DOMAIN = re.compile(r"(?=.{1,255}\Z)(\.|([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+)\Z")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?\Z")
_LIMIT_MAX = (1 << 63) - 1
_MTU_MAX = _PORT_MAX = 65535
_NETWORK = (
    *("bridge", "bip", "bip6", "fixed_cidr", "fixed_cidr_v6", "default_gateway", "default_gateway_v6", "dns", "dns_search"),
    *("host_gateway_ips", "ip", "default_address_pools", "default_network_opts", "publish_policy", "mtu", "network_control_plane_mtu"),
)


def check(options: Options) -> None:
    """Refuse values that cannot work. Raises InvalidArgument."""
    for option in table():
        _no_nul(option.key, getattr(options, option.attribute))
    _check_process(options)
    _check_defaults(options)
    _check_runtimes(options)
    plain = Options()
    if any(getattr(options, name) != getattr(plain, name) for name in _NETWORK):
        _check_network(options)
    if options.registry_mirrors or options.insecure_registries:
        _check_registries(options)


def _no_nul(key: str, value: Any) -> None:
    """No text of any option holds what neither a path nor an argument can."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise InvalidArgument(f"{key}: it holds a character that no name or path can hold")
    elif isinstance(value, tuple | list):
        for item in value:
            _no_nul(key, item)
    elif isinstance(value, dict):
        for name, item in value.items():
            _no_nul(key, name)
            _no_nul(key, item)


def _check_process(options: Options) -> None:
    if options.log_level not in _LEVELS:
        raise InvalidArgument(f"invalid logging level: {options.log_level}")
    if options.log_format not in ("text", "json"):
        raise InvalidArgument(f"invalid log format: {options.log_format}")
    for name in ("data_root", "exec_root", "pidfile", "init_path"):
        path = getattr(options, name)
        if not os.path.isabs(path) and (path or name != "init_path"):
            raise InvalidArgument(f"{name.replace('_', '-')} must be an absolute path: {path!r}")
    values: dict[str, str] = {}
    for label in options.labels:
        if not _LABEL.match(label):
            raise InvalidArgument(f"bad attribute format: {label}")
        key, _, value = label.partition("=")
        if values.setdefault(key, value) != value:
            raise InvalidArgument(f"conflict labels for {key}={value} and {key}={values[key]}")
    for key, on in options.features.items():
        if not isinstance(on, bool) and on not in ("true", "false"):
            raise InvalidArgument(f"features: {key}: it is true or false")
    if options.storage_driver not in ("", "overlay2"):
        raise InvalidArgument(f"the storage driver {options.storage_driver} is not supported: leave storage-driver out, or say overlay2")
    if options.shutdown_timeout < -1:
        raise InvalidArgument(f"invalid shutdown timeout: {options.shutdown_timeout}")
    if options.default_stop_timeout < -1:
        raise InvalidArgument(f"invalid default stop timeout: {options.default_stop_timeout}")
    for name, least in (("max_concurrent_downloads", 0), ("max_concurrent_uploads", 0), ("max_download_attempts", 1)):
        if getattr(options, name) < least:
            raise InvalidArgument(f"invalid {name.replace('_', ' ')}: {getattr(options, name)}")
    from scow.daemon.listeners import INSECURE, parse_host

    for host in options.hosts:
        kind, _ = parse_host(host)
        if kind == "tcp" and not (options.tls or options.tlsverify or options.insecure_tcp):
            raise InvalidArgument(f"{host}: {INSECURE}")


def _check_defaults(options: Options) -> None:
    """What containers get where they don't say."""
    if options.default_ipc_mode not in ("private", "shareable"):
        raise InvalidArgument(f"IPC mode '{options.default_ipc_mode}' is not valid: use private or shareable")
    if options.default_cgroupns_mode not in ("", "host", "private"):
        raise InvalidArgument(f'default cgroup namespace mode ({options.default_cgroupns_mode}) is invalid; use "host" or "private"')
    if options.default_shm_size <= 0:
        raise InvalidArgument("default-shm-size must be positive")
    if ".." in options.cgroup_parent.split("/"):
        raise InvalidArgument(f"invalid cgroup-parent {options.cgroup_parent}: it may not lead upwards")
    for text in options.exec_opts:
        key, _, value = text.partition("=")
        if key.strip().lower() != "native.cgroupdriver":
            raise InvalidArgument(f"invalid option for exec-opt: {key}: only native.cgroupdriver is known")
        if value not in ("cgroupfs",):
            raise InvalidArgument(f"invalid value for native.cgroupdriver: {value}: this engine drives cgroups itself (cgroupfs)")
    for name, limit in options.default_ulimits.items():
        numbers = [limit.get(key, 0) for key in ("Soft", "Hard")] if isinstance(limit, dict) else [None]
        if not all(isinstance(number, int) and not isinstance(number, bool) and -1 <= number <= _LIMIT_MAX for number in numbers):
            raise InvalidArgument(f"default-ulimits: {name}: must be an object with numbers for Soft and Hard")
        from scow.opts import ulimits

        if limit.get("Name", name) != name:
            raise InvalidArgument(f"default-ulimits: {name}: its Name is another: {limit['Name']}")
        ulimits.check(name, limit.get("Soft", 0), limit.get("Hard", 0))
    for key, value in options.log_opts.items():
        if isinstance(value, dict | list):
            raise InvalidArgument(f"log-opts: {key}: must be a text")


def _check_runtimes(options: Options) -> None:
    for name, runtime in options.runtimes.items():
        if not isinstance(runtime, dict) or not isinstance(runtime.get("path", ""), str):
            raise InvalidArgument(f"runtimes: {name}: must be an object with a path")
        if not _RUNTIME_NAME.match(name):
            raise InvalidArgument(f"runtimes: {name!r} is no name of a runtime: letters, digits, _ . and - are")
        if runtime.get("runtimeType"):
            raise InvalidArgument(f"runtime {name}: a runtimeType is containerd's: this engine runs OCI runtimes by their path")
        if not runtime.get("path"):
            raise InvalidArgument(f"runtime {name}: either a runtimeType or a path must be configured")
        if runtime.get("options"):
            raise InvalidArgument(f"runtime {name}: options cannot be used with a path runtime")
        args = runtime.get("runtimeArgs")
        if args is not None and not (isinstance(args, list) and all(isinstance(arg, str) for arg in args)):
            raise InvalidArgument(f"runtimes: {name}: runtimeArgs must be a list of strings")
        unknown = sorted(set(runtime) - {"path", "runtimeArgs", "runtimeType", "options"})
        if unknown:
            raise InvalidArgument(f"runtimes: {name}: unknown key {unknown[0]!r}: path and runtimeArgs are known")
    if options.default_runtime not in {"crun", "runc", *options.runtimes}:
        raise InvalidArgument(
            f"specified default runtime '{options.default_runtime}' does not exist: name it in runtimes, or use crun or runc"
        )


def _check_network(options: Options) -> None:
    import ipaddress

    for what, mtu in (("default", options.mtu), ("network control plane", options.network_control_plane_mtu)):
        if not 0 <= mtu <= _MTU_MAX:
            raise InvalidArgument(f"invalid {what} MTU: {mtu}: it is a number of bytes up to {_MTU_MAX}, 0 for the usual")
    if not 0 < options.swarm_encryption_port < _PORT_MAX:
        raise InvalidArgument(f"invalid swarm-encryption-port {options.swarm_encryption_port}: it is a UDP port below {_PORT_MAX}")
    if options.bridge and not _INTERFACE.match(options.bridge):
        raise InvalidArgument(f"invalid bridge {options.bridge!r}: the name of an interface has at most 15 characters and no space, / or :")
    if options.bridge and options.bridge != "none" and options.bip:
        raise InvalidArgument("you specified -b & --bip, mutually exclusive options. Please specify only one")
    if options.publish_policy not in ("open", "loopback", "user"):
        raise InvalidArgument(f"invalid publish-policy {options.publish_policy}: it is open, loopback or user")
    interfaces: dict[str, Any] = {}
    for name in ("bip", "bip6", "fixed_cidr", "fixed_cidr_v6"):
        text = getattr(options, name)
        if text:
            try:
                if "/" not in text:
                    raise ValueError("no prefix length")
                interfaces[name] = ipaddress.ip_interface(text)
                if interfaces[name].version != (6 if "6" in name else 4):
                    raise ValueError("another kind of address")
            except ValueError as exc:
                raise InvalidArgument(f"invalid CIDR address for {name.replace('_', '-')}: {text}") from exc
    for outer, inner in (("bip", "fixed_cidr"), ("bip6", "fixed_cidr_v6")):
        if outer in interfaces and inner in interfaces and not interfaces[inner].network.subnet_of(interfaces[outer].network):
            raise InvalidArgument(f"{inner.replace('_', '-')} {interfaces[inner]} is not within {outer} {interfaces[outer].network}")
    for name, version in (("default_gateway", 4), ("default_gateway_v6", 6)):
        text = getattr(options, name)
        if text and _address(text).version != version:
            raise InvalidArgument(f"invalid {name.replace('_', '-')}: {text} is no IPv{version} address")
    for text in (*options.dns, *options.host_gateway_ips, options.ip):
        _address(text)
    for text in options.dns_search:
        if not _DOMAIN.match(text.strip()):
            raise InvalidArgument(f"{text} is not a valid domain")
    for pool in options.default_address_pools:
        try:
            network = ipaddress.ip_network(pool["base"], strict=False)
        except ValueError as exc:
            raise InvalidArgument(f"invalid default address pool: {pool['base']}") from exc
        size = pool["size"]
        if isinstance(size, bool) or not isinstance(size, int) or not network.prefixlen <= size <= network.max_prefixlen:
            raise InvalidArgument(f"invalid default address pool size {size} for {pool['base']}")
    for driver, given in options.default_network_opts.items():
        if isinstance(given, str):
            if not given.partition("=")[0] or "=" not in given:
                raise InvalidArgument(f"invalid default-network-opt {driver}={given}: it must be driver=option=value")
        elif not isinstance(given, dict) or not all(isinstance(value, str | int) for value in given.values()):
            raise InvalidArgument(f"invalid default-network-opts of {driver}: an object of texts is needed")


def _address(text: str) -> Any:
    import ipaddress

    try:
        return ipaddress.ip_address(text)
    except ValueError as exc:
        raise InvalidArgument(f"{text} is not an ip address") from exc


def _check_registries(options: Options) -> None:
    import ipaddress
    from urllib.parse import urlsplit

    for text in options.registry_mirrors:
        try:
            parts = urlsplit(text)
            parts.port  # noqa: B018  # raises where it is no number
        except ValueError as exc:
            raise InvalidArgument(f"invalid mirror: {text!r} is not a valid URI: {exc}") from exc
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgument(f"invalid mirror: {text!r}: it is written as https://HOST[:PORT]")
        if parts.query or parts.fragment:
            raise InvalidArgument(f"invalid mirror: query or fragment at end of the URI {text!r}")
        if parts.username is not None:
            raise InvalidArgument("invalid mirror: username/password not allowed in URI: use scow login")
    for text in options.insecure_registries:
        bare = text.lower().removeprefix("http://").removeprefix("https://")
        if "://" in bare:
            raise InvalidArgument(f"insecure registry {text} should not contain '://'")
        if "/" in bare.rstrip("/"):
            try:
                ipaddress.ip_network(bare, strict=False)
            except ValueError as exc:
                raise InvalidArgument(f"insecure registry {text} is not valid: it is HOST[:PORT] or a subnet") from exc
        else:
            host = _HOST.match(bare.rstrip("/"))
            if not host or int((host[2] or ":0")[1:]) > _PORT_MAX:
                raise InvalidArgument(f"insecure registry {text} is not valid: it is HOST[:PORT] or a subnet")
