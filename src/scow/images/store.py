"""Which images there are and what they are called: the table `images`, held in memory with the parsed configs.

An image is one platform: its id is the digest of its config. A name leads to the image of the platform it was last pulled or built for, and
may have a target: the manifest or index it came as, which lists the image's other platforms (see targets.py).

A row is written after the config blob and every layer are in place, so an image is there whole or not at all.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scow import ids, log, units
from scow.content import ContentStore
from scow.errors import InvalidArgument, NotFound, ScowError
from scow.metadata import Database
from scow.reference import Reference
from scow.registry.media import Descriptor

logger = log.get(__name__)

_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")
_MAX_LAYERS = 500


class NoSuchImage(NotFound):
    """No image has this name or id."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"No such image: {ref}")


@dataclass(frozen=True, slots=True)
class Image:
    """One image. `config` is the container configuration in it (Docker's keys: Env, Cmd…), `spec` the whole config document.

    `tags` and `digests` are the names people read, sorted; `layers` are chain ids, lowest first; `size` sums the files of all layers.
    """

    id: str
    spec: dict[str, Any]
    diff_ids: tuple[str, ...]
    layers: tuple[str, ...]
    created_ns: int
    size: int
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    parent: str = ""
    tagged_ns: int = 0
    loaded_ns: int = 0
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """`amd64`…"""
        return str(self.spec.get("architecture") or "")

    @property
    def os(self) -> str:
        """`linux`."""
        return str(self.spec.get("os") or "linux")

    @property
    def variant(self) -> str:
        """The architecture's variant, mostly empty."""
        return str(self.spec.get("variant") or "")

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the image."""
        found = self.config.get("Labels")
        return found if isinstance(found, dict) else {}


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """The names of the stacked layers, lowest first."""
    import hashlib

    found: list[str] = []
    for diff_id in diff_ids:
        found.append("sha256:" + hashlib.sha256(f"{found[-1]} {diff_id}".encode()).hexdigest() if found else diff_id)
    return tuple(found)


_LISTS = ("Cmd", "Entrypoint", "Env", "OnBuild", "Shell")
_MAPS = ("Labels", "ExposedPorts", "Volumes")
_TEXTS = ("User", "WorkingDir", "StopSignal", "Hostname", "Domainname", "Image")


def _check_config(config: Any) -> None:
    if not isinstance(config, dict):
        raise InvalidArgument("invalid image config: config is no object")
    for key in _LISTS:
        value = config.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise InvalidArgument(f"invalid image config: {key} is no list of strings")
    for key in _MAPS:
        value = config.get(key)
        if value is not None and not isinstance(value, dict):
            raise InvalidArgument(f"invalid image config: {key} is no object")
    if not all(isinstance(value, str) for value in (config.get("Labels") or {}).values()):
        raise InvalidArgument("invalid image config: a label is no string")
    for key in _TEXTS:
        if not isinstance(config.get(key) or "", str):
            raise InvalidArgument(f"invalid image config: {key} is no string")
    health = config.get("Healthcheck")
    if health is not None:
        if not isinstance(health, dict):
            raise InvalidArgument("invalid image config: Healthcheck is no object")
        test = health.get("Test") or []
        if not isinstance(test, list) or not all(isinstance(one, str) for one in test):
            raise InvalidArgument("invalid image config: Healthcheck.Test is no list of strings")
        for key in ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"):
            if not isinstance(health.get(key) or 0, int):
                raise InvalidArgument(f"invalid image config: Healthcheck.{key} is no number")


def parse_spec(data: bytes) -> dict[str, Any]:
    """An image config document, checked as far as the engine relies on it. Raises InvalidArgument."""
    try:
        spec = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidArgument("invalid image config: it is no JSON") from None
    if not isinstance(spec, dict):
        raise InvalidArgument("invalid image config: it is no object")
    rootfs = spec.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if diff_ids is None:
        diff_ids = []
    if not isinstance(diff_ids, list) or len(diff_ids) > _MAX_LAYERS:
        raise InvalidArgument("invalid image config: rootfs.diff_ids is no list of digests")
    for diff_id in diff_ids:
        if not isinstance(diff_id, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", diff_id):
            raise InvalidArgument("invalid image config: rootfs.diff_ids holds what is no digest")
    _check_config(spec.get("config") or {})
    for key in ("architecture", "os", "variant", "author", "comment", "created", "docker_version"):
        if not isinstance(spec.get(key) or "", str):
            raise InvalidArgument(f"invalid image config: {key} is no string")
    history = spec.get("history") or []
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise InvalidArgument("invalid image config: history is no list of objects")
    for row in history:
        for key in ("created", "created_by", "author", "comment"):
            if not isinstance(row.get(key) or "", str):
                raise InvalidArgument(f"invalid image config: history.{key} is no string")
    return spec


def created_ns(text: Any) -> int:
    """The time of an RFC 3339 text, 0 when there is none or it makes no sense."""
    try:
        return units.parse_rfc3339(text) if text else 0
    except ScowError:
        return 0


class ImageStore:
    """The images of this engine. Changes are in the database when a method returns."""

    def __init__(self, db: Database, content: ContentStore) -> None:
        self._db = db
        self._table = db.table("images")
        self._content = content
        self._images: dict[str, Image] = {}
        self._names: dict[str, str] = {}  # full name with tag or digest → id
        self._targets: dict[str, Descriptor] = {}  # full name → what it came as
        for id, doc in self._table.all().items():
            try:
                self._remember(id, parse_spec(content.read(id)), doc)
            except ScowError as error:
                logger.error("image %s cannot be used: %s", id, error.message)

    def _remember(self, id: str, spec: dict[str, Any], doc: dict[str, Any]) -> Image:
        diff_ids = tuple((spec.get("rootfs") or {}).get("diff_ids") or ())
        names = [Reference.parse(name) for name in doc["names"]]
        image = Image(
            id,
            spec,
            diff_ids,
            chain_ids(diff_ids),
            created_ns(spec.get("created")),
            int(doc["size"]),
            tuple(sorted(name.familiar() for name in names if not name.digest)),
            tuple(sorted(name.familiar() for name in names if name.digest)),
            str(doc.get("parent") or ""),
            int(doc.get("tagged_ns") or 0),
            int(doc.get("loaded_ns") or 0),
            spec.get("config") or {},
        )
        self._images[id] = image
        targets = doc.get("targets") or {}
        for name in doc["names"]:
            self._names[name] = id
            if name in targets:
                self._targets[name] = Descriptor(*targets[name])
            else:
                self._targets.pop(name, None)
        return image

    def targets(self) -> dict[str, Descriptor]:
        """What each full name leads to, where that is known."""
        return self._targets

    def target(self, reference: Reference) -> Descriptor | None:
        """What a name leads to."""
        return self._targets.get(reference.full())

    def target_of(self, id: str) -> Descriptor | None:
        """What the first name of an image that has a target leads to."""
        return next((found for name in self.names(id) if (found := self._targets.get(name.full()))), None)

    def all(self) -> list[Image]:
        """Every image."""
        return list(self._images.values())

    def rows(self) -> set[str]:
        """Ids of every recorded image, those that cannot be used included."""
        return set(self._table)

    def by_id(self, id: str) -> Image | None:
        """The image with this full id."""
        return self._images.get(id)

    def named(self, reference: Reference) -> Image | None:
        """The image with this name (tag or digest)."""
        id = self._names.get(reference.full())
        return self._images.get(id) if id else None

    def find(self, ref: str) -> Image:
        """Look up what a user types: id, unique prefix of one, name, name:tag, name@digest. Raises NotFound, InvalidArgument."""
        match = _HEX.match(ref)
        if match and len(match[1]) == 64:
            image = self._images.get("sha256:" + match[1])
            if image is None:
                raise NoSuchImage(ref)
            return image
        try:
            reference = Reference.parse(ref)
        except InvalidArgument:
            if not ref.startswith("sha256:"):
                raise
        else:
            if reference.digest:
                found = self.named(Reference(reference.domain, reference.path, "", reference.digest))
                if found is None:  # name@id also means the image of that id, when it has that name
                    image = self._images.get(reference.digest)
                    names = self._table.get(reference.digest) if image else None
                    if names and any(Reference.parse(name).name == reference.name for name in names["names"]):
                        found = image
            else:
                found = self.named(reference.tagged())
            if found:
                return found
            ref = reference.tagged().familiar() if not match else ref
        if match:
            full = ids.by_prefix((id[7:] for id in self._images), match[1])
            if full:
                return self._images["sha256:" + full]
            if not ref.startswith("sha256:"):
                raise NoSuchImage(Reference.parse(ref).tagged().familiar())
        raise NoSuchImage(ref)

    def names(self, id: str) -> list[Reference]:
        """The names of an image."""
        doc = self._table.get(id)
        return [Reference.parse(name) for name in doc["names"]] if doc else []

    def add(self, id: str, spec: dict[str, Any], size: int, now_ns: int, parent: str = "") -> Image:
        """Record an image whose config and layers are in place; there already: only the missing is added."""
        doc = self._table.get(id) or {"names": [], "size": size, "loaded_ns": now_ns, "tagged_ns": 0, "parent": parent}
        if parent and not doc.get("parent"):
            doc["parent"] = parent
        self._table.put(id, doc)
        return self._remember(id, spec, doc)

    def name(self, id: str, reference: Reference, now_ns: int, target: Descriptor | None = None) -> str:
        """Give a name to an image, taking it from another one; the id of that other one, or "". `target`: what the image came as."""
        full = reference.full()
        old = self._names.get(full, "")
        with self._db.update():
            if old and old != id:
                self._drop_name(old, full)
            doc = self._table.get(id)
            if doc is not None:
                if full not in doc["names"]:
                    doc["names"] = [*doc["names"], full]
                targets = {name: value for name, value in (doc.get("targets") or {}).items() if name != full}
                doc["targets"] = targets if target is None else {**targets, full: [target.digest, target.size, target.media_type]}
                if now_ns:
                    doc["tagged_ns"] = now_ns
                self._table.put(id, doc)
        self._names[full] = id
        for changed in {old, id} - {""}:
            self._refresh(changed)
        return old if old != id else ""

    def unname(self, reference: Reference) -> None:
        """Take a name away."""
        full = reference.full()
        id = self._names.get(full)
        if id:
            self._drop_name(id, full)
            del self._names[full]
            self._targets.pop(full, None)
            self._refresh(id)

    def _drop_name(self, id: str, full: str) -> None:
        doc = self._table.get(id)
        if doc is not None:
            doc["names"] = [name for name in doc["names"] if name != full]
            doc["targets"] = {name: value for name, value in (doc.get("targets") or {}).items() if name != full}
            self._table.put(id, doc)

    def _refresh(self, id: str) -> None:
        doc = self._table.get(id)
        image = self._images.get(id)
        if doc is not None and image is not None:
            self._remember(id, image.spec, doc)

    def delete(self, id: str) -> None:
        """Forget an image and its names; its content is the caller's to remove."""
        self._table.delete(id)
        self._images.pop(id, None)
        for name in [name for name, target in self._names.items() if target == id]:
            del self._names[name]
            self._targets.pop(name, None)

    def children(self, id: str) -> list[Image]:
        """Images that were committed on top of this one."""
        return [image for image in self._images.values() if image.parent == id]
