"""What is wanted against what runs: `reconcile` makes the plan of an `up`, `teardown` that of a `down`. Pure; decides everything that
`execute/` then does."""

from __future__ import annotations

from scow.compose import contents, create, drift, labels
from scow.compose.model.project import Project
from scow.compose.model.service import Service
from scow.compose.observe import ContainerInfo, Observed
from scow.compose.order import ordered
from scow.compose.plan import Plan
from scow.compose.records import field, record, replace
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable

CHANGED = "the content of its configs, secrets or env files changed"


@record(frozen=True, slots=True, kw_only=True)
class Options:
    """How to reconcile. `recreate` is diverged, force or never, `recreate_others` the same for services that were not named; `services` are
    the named ones (none: all); `images` the IDs that images have now."""

    recreate: str = "diverged"
    recreate_others: str = "diverged"
    services: tuple[str, ...] = ()
    images: dict[str, str] = field(default_factory=dict)
    start: bool = True
    remove_orphans: bool = False
    renew_volumes: bool = False
    rollout: bool = False
    separator: str = "-"
    wait_dependencies: bool = True
    fresh: frozenset[str] = frozenset()  # services whose containers were made anew just before


def order(services: dict[str, Service]) -> list[str]:
    """Names so that what is depended on comes first."""

    def before(name: str) -> list[str]:
        needed = {*services[name].depends_on, *create.references(services[name])}
        return sorted(other for other in needed if other in services)

    return ordered(sorted(services), before)


def _temporary(name: str) -> str:
    """The name that a container is to have when what it replaces is gone; "" where its name is no such."""
    head, sep, rest = name.partition("_")
    return rest if sep and len(head) == 12 and all(char in "0123456789abcdef" for char in head) else ""


def _finished(have: list[ContainerInfo]) -> tuple[list[ContainerInfo], list[ContainerInfo]]:
    """(the containers of a service, those that were made to replace one that is still there: whoever made them did not end)."""
    there = {one.id for one in have}
    left = [one for one in have if _temporary(one.name) and one.labels.get(labels.REPLACE) in there]
    return [one for one in have if one not in left], left


def _followed(have: list[ContainerInfo]) -> dict[str, ContainerInfo]:
    """Containers whose place another took in a rollout that did not end: ID -> the other one."""
    by = {one.id[:12]: one for one in have}
    found = {one.id: by[one.name[:12]] for one in have if _temporary(one.name) and one.name[:12] in by}
    return {ident: one for ident, one in found.items() if one.labels.get(labels.REPLACE) == ident}


def orphans(project: Project, observed: Observed) -> list[ContainerInfo]:
    """Containers of services that the files know no more."""
    known = {*project.services, *project.disabled}
    return [one for one in observed.containers if one.service not in known and not one.oneoff]


@record(slots=True)
class _Place:
    """A container that is wanted: what has the place now, or the operations that make it."""

    name: str
    number: int
    container: ContainerInfo | None = None
    made_by: list[int] = field(default_factory=list)


def reconcile(project: Project, observed: Observed, options: Options) -> Plan:
    """The plan that brings what runs to what is wanted. Raises ScowError for what can't be."""
    return _Up(project, observed, options).made()


def starting(project: Project, observed: Observed) -> Plan:
    """The plan of `start`: containers that are there, dependencies first, with their conditions."""
    there = {name: replace(one, scale=len(observed.of(name))) for name, one in project.services.items() if observed.of(name)}
    bare = replace(project, services=there, networks={}, volumes={})
    return reconcile(bare, observed, Options(recreate="never", recreate_others="never"))


class _Up:
    def __init__(self, project: Project, observed: Observed, options: Options) -> None:
        self.project, self.observed, self.options = project, observed, options
        self.plan = Plan()
        self.ids: dict[str, str] = {}  # service -> ID of its first container, where that stays
        for one in observed.containers:
            if not one.oneoff and (one.service not in self.ids or one.number == 1):
                self.ids[one.service] = one.id
        self.fresh: set[str] = set(options.fresh)  # services that get new containers
        self.finishing: dict[str, str] = {}  # container -> the one that is to take its place, as an earlier run began
        self.renewed: set[str] = set()  # keys of networks that are made anew
        self.made_by: dict[str, list[int]] = {}  # service -> creating operations
        self.started: dict[str, list[int]] = {}  # service -> starting operations
        self.live: dict[str, list[_Place]] = {}  # service -> its containers, as they will be
        self.rolling: dict[str, str] = {}  # container -> why another is started beside it, to take its place

    def made(self) -> Plan:
        base = self._shared()
        names = order(self.project.services)
        for name in names:
            self._containers(self.project.services[name], base)
        if self.options.remove_orphans:
            for one in orphans(self.project, self.observed):
                stop = [self.plan.add("stop", one.name, "no service of the files", old=one)] if one.running else []
                self.plan.add("remove", one.name, "no service of the files", stop, old=one)
        if self.options.start:
            created = [ident for found in self.made_by.values() for ident in found]
            for name in names:
                self._start(self.project.services[name], created)
        return self.plan

    def _shared(self) -> list[int]:
        base = []
        for key, network in self.project.networks.items():
            if network.external:
                continue
            if network.name not in self.observed.networks:
                base.append(self.plan.add("network", network.name, "it is not there", key=key))
            elif self.options.recreate != "never" and (what := drift.network(self.project, key, self.observed.networks[network.name])):
                base.append(self.plan.add("renew-network", network.name, f"its configuration changed ({what})", key=key))
                self.renewed.add(key)
        for key, volume in self.project.volumes.items():
            if not volume.external and volume.name not in self.observed.volumes:
                base.append(self.plan.add("volume", volume.name, "it is not there", key=key))
        return base

    def _cause(self, service: Service, one: ContainerInfo) -> str:
        """Why a container must be made anew, "" where it may stay."""
        named = not self.options.services or service.name in self.options.services
        policy = self.options.recreate if named else self.options.recreate_others
        if policy == "never":
            return ""
        if policy == "force":
            return "asked for"
        new = sorted(create.shared(service) & self.fresh)
        if new:
            return f"it shares with {', '.join(new)}, which is made anew"
        renewed = sorted(self.renewed & service.networks.keys())
        if renewed:
            return f"its network {self.project.networks[renewed[0]].name} is made anew"
        if network := drift.left(self.project, service, self.observed, one):
            return f"it is not in the network {network}"
        if create.digest(service, self.ids) != one.hash:
            plain = one.labels.get(labels.PLAIN)
            if not plain or create.plain_digest(self.project, service, self.ids) != plain:
                return "its configuration changed"
        image = self.options.images.get(create.image_name(self.project, service, self.options.separator), "")
        if image and one.image and image != one.image:
            return "its image changed"
        content = contents.digest(self.project, service, "recreate")
        if one.content and content and content != one.content:
            return CHANGED
        return CHANGED if not one.running and self._signals(service, one) else ""

    def _signals(self, service: Service, one: ContainerInfo) -> str:
        """The signals, with commas between, that tell a container of configs and secrets that changed; "" for none."""
        if self.options.recreate == "never" or not one.told:
            return ""
        content = contents.digest(self.project, service, "signal")
        return ",".join(contents.signals(self.project, service)) if content and content != one.told else ""

    def _containers(self, service: Service, base: list[int]) -> None:
        wanted = service.replicas
        if wanted > 1 and service.container_name:
            raise ScowError(
                f'WARNING: The "{service.name}" service is using the custom container name "{service.container_name}". '
                "Docker requires each container to have a unique name. Remove the custom name to scale the service"
            )
        everything = self.observed.of(service.name)
        followed = _followed(everything)
        gone = [one for one in everything if one.id in followed and not _temporary(followed[one.id].name)]
        have, left = _finished([one for one in everything if one not in gone])
        causes = {one.id: self._cause(service, one) for one in have}
        cut = "an earlier run ended before another had taken its place"
        causes |= {one.id: cut for one in have if one.id in followed}
        for one in (one for one in have if one.id in followed and self.options.start):
            new = followed[one.id]
            if one.state == new.state == "running" and not self._cause(service, new):
                self.finishing[one.id] = new.id
                left.remove(new)
        have.sort(key=lambda one: (bool(causes[one.id]), one.number))
        after = [*base, *(ident for other in create.references(service) for ident in self.made_by.get(other, []))]
        cause = "an earlier run ended before it took its place"
        after += [self.plan.add("remove", one.name, cause, old=one) for one in left]
        after += [self.plan.add("remove", one.name, "another took its place", old=one) for one in gone]
        made: list[int] = []
        live: list[_Place] = []
        for one in have[wanted:]:
            cause = f"{wanted} wanted"
            stop = [self.plan.add("stop", one.name, cause, old=one)] if one.running else []
            after.append(self.plan.add("remove", one.name, cause, stop, old=one))
        for one in sorted(have[:wanted], key=lambda one: one.number):
            cause = causes[one.id]
            name = create.container_name(self.project, service, one.number, self.options.separator)
            if cause and (one.id in self.finishing or (one.id not in followed and self._rolls(service, one))):
                self.rolling[one.id] = cause
                live.append(_Place(name, one.number, one, list(after)))
                self.fresh.add(service.name)
            elif cause:
                ident = self.plan.add(
                    "recreate", name, cause, after, service=service, number=one.number, old=one, renew=self.options.renew_volumes
                )
                made.append(ident)
                live.append(_Place(name, one.number, made_by=[ident]))
                self.fresh.add(service.name)
            elif _temporary(one.name) == name:
                made.append(self.plan.add("rename", name, "an earlier run ended before it had its name", after, service=service, old=one))
                live.append(_Place(name, one.number, one))
            else:
                live.append(_Place(one.name, one.number, one))
        number = max((one.number for one in have), default=0)
        for _ in range(len(have), wanted):
            number += 1
            name = create.container_name(self.project, service, number, self.options.separator)
            made.append(self.plan.add("create", name, "it is not there", after, service=service, number=number))
            live.append(_Place(name, number, made_by=[made[-1]]))
            if not have:
                self.fresh.add(service.name)
        self.made_by[service.name] = made
        self.live[service.name] = live

    def _rolls(self, service: Service, one: ContainerInfo) -> bool:
        """Whether a new container is started beside the old one: asked for, and possible."""
        asked = service.extensions.get("x-rollout")
        wanted = self.options.rollout or asked == "start-first" or (isinstance(asked, dict) and asked.get("order") == "start-first")
        fixed = any(end and (end.ipv4_address or end.ipv6_address or end.mac_address) for end in service.networks.values())
        possible = not (service.container_name or service.network_mode or fixed or service.mac_address)
        return bool(wanted and self.options.start and one.state == "running" and possible)

    def _start(self, service: Service, created: list[int]) -> None:
        conditions: list[int] = []
        restarted = False
        here = self.live[service.name]
        idle = [at for at in here if at.container is None or at.container.state != "running" or at.container.id in self.rolling]
        for name, dependency in sorted(service.depends_on.items()):
            other = self.project.services.get(name)
            if other is None:
                continue
            if dependency.restart and name in self.fresh:
                restarted = True
            before = self.started.get(name, [])
            conditions += before
            if (not idle and not (dependency.restart and name in self.fresh)) or not self.options.wait_dependencies:
                continue
            kind = {"service_healthy": "wait", "service_completed_successfully": "completed"}.get(dependency.condition)
            for at in self.live.get(name, []) if kind else ():
                cause = f"{service.name} wants it {'healthy' if kind == 'wait' else 'completed'}"
                more = {"service": other, "required": dependency.required}
                conditions.append(self.plan.add(kind or "", at.name, cause, [*before, *created], **more))
        conditions += [ident for other in create.shared(service) for ident in self.started.get(other, [])]
        own: list[int] = []
        for at in here:
            name, number, one, ids = at.name, at.number, at.container, at.made_by
            after = [*created, *conditions, *ids]
            if one is not None and one.id in self.rolling:
                given = {"service": service, "number": number, "old": one, "renew": self.options.renew_volumes}
                given["key"] = self.finishing.get(one.id, "")
                own.append(self.plan.add("rollout", name, self.rolling[one.id], [*after, *own[-1:]], **given))
                continue
            if one is not None and one.state in ("running", "paused"):
                if restarted and not ids:
                    own.append(
                        self.plan.add("restart", name, "what it depends on is made anew", after, service=service, number=number, old=one)
                    )
                elif not ids and one.state == "running" and (signals := self._signals(service, one)):
                    more = {"service": service, "number": number, "old": one, "key": signals}
                    self.plan.add("signal", name, CHANGED, after, **more)
                elif not ids and one.state == "paused":
                    own.append(self.plan.add("unpause", name, "it is paused", after, service=service, number=number, old=one))
                elif not ids:
                    self.plan.add("keep", name, "it runs as wanted", service=service, number=number, old=one)
                continue
            cause = "it is new" if one is None else f"it is {one.state}"
            own.append(self.plan.add("start", name, cause, after, service=service, number=number, old=one))
        self.started[service.name] = own or conditions


def teardown(
    containers: list[ContainerInfo],
    networks: Iterable[str],
    volumes: Iterable[str],
    remove: bool = True,
    cause: str = "asked for",
    images: Iterable[str] = (),
) -> Plan:
    """Stops (and removes) containers, dependents first, then networks, volumes and images."""
    plan = Plan()
    dependents: dict[str, set[str]] = {}
    services = {one.service for one in containers}
    for one in containers:
        for name in one.depends:
            dependents.setdefault(name, set()).add(one.service)
    stops: dict[str, list[int]] = {}
    done: list[int] = []

    def before(name: str) -> list[str]:
        return sorted(other for other in dependents.get(name, ()) if other in services)

    for name in ordered(sorted(services), before, circles=True):
        first = [ident for other in before(name) for ident in stops.get(other, [])]
        stops[name] = []
        for one in (one for one in containers if one.service == name):
            before_end = first
            if one.running:
                before_end = [plan.add("stop", one.name, cause, first, old=one)]
                stops[name] += before_end
            if remove:
                done.append(plan.add("remove", one.name, cause, before_end, old=one))
        stops[name] = stops[name] or first
    for network in networks:
        plan.add("remove-network", network, cause, done)
    for volume in volumes:
        plan.add("remove-volume", volume, cause, done)
    for image in images:
        plan.add("remove-image", image, cause, done)
    return plan
