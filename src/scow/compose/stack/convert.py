"""A project as the objects of a stack: requests for networks, secrets, configs and services, with names as docker's stacks give them. Pure,
but for the content of files. Called by `deploy.py` and `diff.py`."""

from __future__ import annotations

import base64
import re

from scow.cli.commands.service.spec import capabilities
from scow.cli.commands.swarm.objects import read_data
from scow.errors import ScowError
from scow.opts import autoscale, schedule, servicelabels

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.compose.model.build import FileUse
    from scow.compose.model.deploy import Deploy, Resource, UpdateConfig
    from scow.compose.model.project import FileObject, Network, Project
    from scow.compose.model.service import Mount, Service


NAMESPACE = "com.docker.stack.namespace"
IMAGE = "com.docker.stack.image"
_PREDEFINED = ("host", "none", "bridge")  # networks of a node, which are used by name
_FILE_MODE = 0o444
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


def check_name(stack: str) -> None:
    """Raises ScowError for a text that no stack can be called."""
    if not _NAME.match(stack):
        raise ScowError(f"invalid stack name: {stack!r}: use letters, digits, '_', '.' and '-'")


def scoped(stack: str, name: str) -> str:
    """What an object of a stack is called."""
    return f"{stack}_{name}"


def labelled(stack: str, labels: dict[str, str] | None = None) -> dict[str, str]:
    """Labels with the one that says whose an object is."""
    return {**(labels or {}), NAMESPACE: stack}


class Stack:
    """What a stack consists of. `networks` and so on: name in the swarm → request; `external`: kind → names that must be there."""

    def __init__(self, name: str, project: Project) -> None:
        check_name(name)
        self.name = name
        self.project = project
        self.external: dict[str, list[str]] = {"networks": [], "secrets": [], "configs": []}
        self.networks = self._networks()
        self.secrets = self._objects(project.secrets, "secrets")
        self.configs = self._objects(project.configs, "configs")
        self.services = {scoped(name, short): self._service(one) for short, one in sorted(project.services.items())}

    # ------------------------------------------------ networks and files

    def _networks(self) -> dict[str, dict[str, Any]]:
        used = {network for one in self.project.services.values() for network in (one.networks or {"default": None})}
        found = {}
        for short in sorted(used):
            network = self.project.networks.get(short)
            if network is not None and network.external:
                self.external["networks"].append(network.name or short)
                continue
            found[self._network_name(short)] = self._network(network)
        return found

    def _network_name(self, short: str) -> str:
        network = self.project.networks.get(short)
        if network is None:
            return scoped(self.name, short)
        return network.name or (short if network.external else scoped(self.name, short))

    def _network(self, network: Network | None) -> dict[str, Any]:
        if network is None:
            return {"Driver": "overlay", "Labels": labelled(self.name)}
        body: dict[str, Any] = {
            "Driver": network.driver or "overlay",
            "Labels": labelled(self.name, network.labels),
            "Options": dict(network.driver_opts),
            "Internal": network.internal,
            "Attachable": network.attachable,
        }
        pools = [{"Subnet": one.subnet, "IPRange": one.ip_range, "Gateway": one.gateway} for one in network.ipam.config]
        ipam = {
            "Driver": network.ipam.driver,
            "Options": dict(network.ipam.options),
            "Config": [{key: value for key, value in pool.items() if value} for pool in pools],
        }
        if any(ipam.values()):
            body["IPAM"] = {key: value for key, value in ipam.items() if value}
        if network.enable_ipv6:
            body["EnableIPv6"] = True
        return {key: value for key, value in body.items() if value}

    def _objects(self, objects: dict[str, FileObject], kind: str) -> dict[str, dict[str, Any]]:
        found = {}
        for short, one in sorted(objects.items()):
            name = self._object_name(short, one)
            if one.external:
                self.external[kind].append(name)
                continue
            body: dict[str, Any] = {"Name": name, "Labels": labelled(self.name, one.labels)}
            if one.driver:
                body["Driver"] = {"Name": one.driver, **({"Options": dict(one.driver_opts)} if one.driver_opts else {})}
            else:
                data = read_data(one.file) if one.file else one.content.encode()
                body["Data"] = base64.b64encode(data).decode()
            if one.template_driver:
                body["Templating"] = {"Name": one.template_driver}
            found[name] = body
        return found

    def _object_name(self, short: str, one: FileObject) -> str:
        return one.name or (short if one.external else scoped(self.name, short))

    # ------------------------------------------------ services

    def _service(self, service: Service) -> dict[str, Any]:
        deploy = service.deploy
        task: dict[str, Any] = {
            "ContainerSpec": self._container(service),
            "Resources": _resources(deploy),
            "RestartPolicy": _restart(service, deploy),
            "Placement": _placement(deploy),
            "Networks": self._attachments(service),
            "ForceUpdate": 0,
        }
        if service.logging is not None and (service.logging.driver or service.logging.options):
            task["LogDriver"] = {"Name": service.logging.driver, "Options": dict(service.logging.options)}
        labels = labelled(self.name, service_labels(service))
        labels[IMAGE] = service.image
        spec: dict[str, Any] = {
            "Name": scoped(self.name, service.name),
            "Labels": labels,
            "TaskTemplate": {key: value for key, value in task.items() if value is not None},
            "Mode": _mode(service.name, deploy),
            "EndpointSpec": _endpoint(service, deploy),
        }
        for key, policy in (("UpdateConfig", deploy and deploy.update_config), ("RollbackConfig", deploy and deploy.rollback_config)):
            if policy:
                spec[key] = _update(policy)
        return spec

    def _container(self, service: Service) -> dict[str, Any]:
        add, drop = capabilities(list(service.cap_add), list(service.cap_drop))
        dns = {"Nameservers": list(service.dns), "Search": list(service.dns_search), "Options": list(service.dns_opt)}
        env = [name if value is None else f"{name}={value}" for name, value in sorted(service.environment.items())]
        found: dict[str, Any] = {
            "Image": service.image,
            "Labels": labelled(self.name, dict(service.labels)),
            "Command": list(service.entrypoint or ()),
            "Args": list(service.command or ()),
            "Hostname": service.hostname,
            "Env": env,
            "Dir": service.working_dir,
            "User": service.user,
            "Groups": list(service.group_add),
            "StopSignal": service.stop_signal,
            "TTY": service.tty,
            "OpenStdin": service.stdin_open,
            "ReadOnly": service.read_only,
            "Mounts": [self._mount(one) for one in service.volumes] + [{"Type": "tmpfs", "Target": one} for one in service.tmpfs],
            "StopGracePeriod": service.stop_grace_period,
            "Healthcheck": _health(service),
            "Hosts": [f"{address} {name}" for name, addresses in service.extra_hosts.items() for address in addresses],
            "DNSConfig": {key: value for key, value in dns.items() if value},
            "Secrets": self._uses("secret", service.secrets, self.project.secrets),
            "Configs": self._uses("config", service.configs, self.project.configs),
            "Isolation": service.isolation,
            "Sysctls": dict(service.sysctls),
            "CapabilityAdd": add,
            "CapabilityDrop": drop,
            "Ulimits": [
                {"Name": name, "Hard": one.single or one.hard, "Soft": one.single or one.soft}
                for name, one in sorted(service.ulimits.items())
            ],
            "OomScoreAdj": service.oom_score_adj,
        }
        found = {key: value for key, value in found.items() if value not in (None, "", [], {}, False, 0)}
        if service.stop_grace_period == 0:
            found["StopGracePeriod"] = 0
        if service.init is not None:
            found["Init"] = service.init
        # always there, as docker sends it: its absence is another spec, and tasks would be made anew where the tools take turns
        found["Privileges"] = {"CredentialSpec": self._credentials(service), "SELinuxContext": None, "NoNewPrivileges": False}
        return found

    def _credentials(self, service: Service) -> dict[str, str] | None:
        spec = service.credential_spec
        if spec is None:
            return None
        given = {"Config": spec.config, "File": spec.file, "Registry": spec.registry}
        found = {key: value for key, value in given.items() if value}
        if len(found) > 1:
            raise ScowError(f"invalid credential spec: cannot specify both {' and '.join(found)}")
        if spec.config:
            if spec.config not in self.project.configs:
                raise ScowError(f'undefined config "{spec.config}"')
            found["Config"] = self._object_name(spec.config, self.project.configs[spec.config])
        return found

    def _attachments(self, service: Service) -> list[dict[str, Any]]:
        found = []
        for short, endpoint in (service.networks or {"default": None}).items():
            target = self._network_name(short)
            one: dict[str, Any] = {"Target": target}
            if target not in _PREDEFINED:
                one["Aliases"] = [*(endpoint.aliases if endpoint else ()), service.name]
            if endpoint and endpoint.driver_opts:
                one["DriverOpts"] = dict(endpoint.driver_opts)
            found.append(one)
        return sorted(found, key=lambda one: str(one["Target"]))

    def _mount(self, mount: Mount) -> dict[str, Any]:
        found: dict[str, Any] = {"Type": mount.type, "Target": mount.target}
        if mount.source:
            found["Source"] = mount.source
        if mount.read_only:
            found["ReadOnly"] = True
        if mount.consistency:
            found["Consistency"] = mount.consistency
        if mount.type == "bind" and mount.bind and mount.bind.propagation:
            found["BindOptions"] = {"Propagation": mount.bind.propagation}
        if mount.type == "tmpfs" and mount.tmpfs and (mount.tmpfs.size or mount.tmpfs.mode):
            given = {"SizeBytes": mount.tmpfs.size, "Mode": mount.tmpfs.mode}
            found["TmpfsOptions"] = {key: value for key, value in given.items() if value}
        if mount.type in ("volume", "cluster") and mount.source:
            self._named_volume(mount, found)
        return found

    def _named_volume(self, mount: Mount, found: dict[str, Any]) -> None:
        volume = self.project.volumes.get(mount.source)
        if volume is None:
            return
        options: dict[str, Any] = {}
        if mount.volume and mount.volume.nocopy:
            options["NoCopy"] = True
        if mount.volume and mount.volume.subpath:
            options["Subpath"] = mount.volume.subpath
        found["Source"] = volume.name or (mount.source if volume.external else scoped(self.name, mount.source))
        if not volume.external:
            options["Labels"] = labelled(self.name, dict(volume.labels))
            if volume.driver or volume.driver_opts:
                driver = {"Name": volume.driver, "Options": dict(volume.driver_opts)}
                options["DriverConfig"] = {key: value for key, value in driver.items() if value}
        if options:
            found["VolumeOptions" if mount.type == "volume" else "ClusterOptions"] = options

    def _uses(self, kind: str, uses: tuple[FileUse, ...], there: dict[str, FileObject]) -> list[dict[str, Any]]:
        found = []
        for use in uses:
            target = use.target or use.source
            if kind == "secret":
                target = target.removeprefix("/run/secrets/") or use.source
            file = {
                "Name": target,
                "UID": use.uid or "0",
                "GID": use.gid or "0",
                "Mode": _FILE_MODE if use.mode is None else use.mode,
            }
            name = self._object_name(use.source, there[use.source])
            found.append({"File": file, f"{kind.title()}ID": "", f"{kind.title()}Name": name})
        return sorted(found, key=lambda one: str(one[f"{kind.title()}Name"]))


def _mode(name: str, deploy: Deploy | None) -> dict[str, Any]:
    mode = deploy.mode if deploy else ""
    replicas = deploy.replicas if deploy else None
    if mode in ("global", "global-job"):
        if replicas is not None:
            raise ScowError(f"service {name}: replicas can only be used with replicated or replicated-job mode")
        return {"Global": {}} if mode == "global" else {"GlobalJob": {}}
    if mode == "replicated-job":
        count = 1 if replicas is None else replicas
        return {"ReplicatedJob": {"MaxConcurrent": count, "TotalCompletions": count}}
    if mode in ("", "replicated"):
        return {"Replicated": {"Replicas": 1 if replicas is None else replicas}}
    raise ScowError(f"service {name}: Unknown mode: {mode}")


def service_labels(service: Service) -> dict[str, str]:
    """The labels of a service, with those for what docker's stacks have no words for: `x-autoscale` and `x-cron`. Raises ScowError for what
    the engine would refuse, and where `deploy.labels` say otherwise."""
    deploy = service.deploy
    if deploy is None:
        return {}
    mode, labels = _mode(service.name, deploy), dict(deploy.labels)
    try:
        for key, value in _beyond(deploy).items():
            if labels.get(key, value) != value:
                raise ScowError(f"deploy.labels has {key}={labels[key]}, x-autoscale or x-cron says {value}: say it once")
            labels[key] = value
        servicelabels.check({"Labels": labels, "Mode": mode, "TaskTemplate": {"Resources": _resources(deploy)}})
    except ScowError as exc:
        raise ScowError(f"service {service.name}: {exc.message}") from None
    return labels


def _beyond(deploy: Deploy) -> dict[str, str]:
    found = {}
    scale = deploy.extensions.get("x-autoscale")
    if scale is not None:
        if not isinstance(scale, dict) or not scale:
            raise ScowError("deploy.x-autoscale must be a mapping as {min: 1, max: 10, cpu: 70}")
        for key, value in scale.items():
            if isinstance(value, (dict, list)) or value is None:
                raise ScowError(f"deploy.x-autoscale.{key} must be one value")
            found[f"{autoscale.PREFIX}{key}"] = str(value)
    cron = deploy.extensions.get("x-cron")
    if cron is not None:
        if not isinstance(cron, str):
            raise ScowError('deploy.x-cron must be a text as "*/5 * * * *"')
        found[schedule.LABEL] = cron
    return found


def _amount(held: Resource | None) -> dict[str, Any]:
    if held is None:
        return {}
    found: dict[str, Any] = {"NanoCPUs": round(held.cpus * 1e9), "MemoryBytes": held.memory, "Pids": held.pids}
    generic = [one.discrete_resource_spec for one in held.generic_resources if one.discrete_resource_spec]
    found["GenericResources"] = [{"DiscreteResourceSpec": {"Kind": one.kind, "Value": one.value}} for one in generic]
    return {key: value for key, value in found.items() if value}


def _resources(deploy: Deploy | None) -> dict[str, Any]:
    if deploy is None:
        return {}
    found = {"Limits": _amount(deploy.resources.limits), "Reservations": _amount(deploy.resources.reservations)}
    return {key: value for key, value in found.items() if value}


def _restart(service: Service, deploy: Deploy | None) -> dict[str, Any] | None:
    """`deploy.restart_policy`, else what `restart` means for tasks."""
    policy = deploy.restart_policy if deploy else None
    if policy is not None:
        found = {
            "Condition": policy.condition,
            "Delay": policy.delay,
            "MaxAttempts": policy.max_attempts,
            "Window": policy.window,
        }
        return {key: value for key, value in found.items() if value not in (None, "")}
    name, _, count = service.restart.partition(":")
    if name in ("", "no"):
        return None
    if name in ("always", "unless-stopped"):
        return {"Condition": "any"}
    if name == "on-failure":
        return {"Condition": "on-failure", **({"MaxAttempts": int(count)} if count.isdigit() else {})}
    raise ScowError(f"unknown restart policy: {service.restart}")


def _placement(deploy: Deploy | None) -> dict[str, Any]:
    if deploy is None:
        return {}
    placement = deploy.placement
    found = {
        "Constraints": list(placement.constraints),
        "Preferences": [{"Spread": {"SpreadDescriptor": one.spread}} for one in placement.preferences],
        "MaxReplicas": placement.max_replicas_per_node,
    }
    return {key: value for key, value in found.items() if value}


def _update(policy: UpdateConfig) -> dict[str, Any]:
    found = {
        "Parallelism": 1 if policy.parallelism is None else policy.parallelism,
        "Delay": policy.delay,
        "FailureAction": policy.failure_action,
        "Monitor": policy.monitor,
        "MaxFailureRatio": policy.max_failure_ratio,
        "Order": policy.order,
    }
    return {key: value for key, value in found.items() if value or key in ("Parallelism", "MaxFailureRatio")}


def _endpoint(service: Service, deploy: Deploy | None) -> dict[str, Any]:
    ports: list[dict[str, Any]] = [
        {
            "Protocol": port.protocol,
            "TargetPort": port.target,
            "PublishedPort": int(port.published) if port.published.isdigit() else 0,
            "PublishMode": port.mode,
        }
        for port in service.ports
    ]
    ports.sort(key=lambda port: (port["PublishedPort"], port["TargetPort"]))
    shown = [{key: value for key, value in port.items() if value} for port in ports]
    mode = deploy.endpoint_mode if deploy else ""
    return {**({"Mode": mode.lower()} if mode else {}), **({"Ports": shown} if shown else {})}


def _health(service: Service) -> dict[str, Any]:
    check = service.healthcheck
    if check is None:
        return {}
    if check.disable:
        if check.test:
            raise ScowError("test and disable can't be set at the same time")
        return {"Test": ["NONE"]}
    found = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {key: value for key, value in found.items() if value}
