"""Replies about images in Docker 28's shapes. Pure functions of images and their layers."""

import fnmatch
import re
from collections import Counter
from collections.abc import Container
from typing import Any

from scow import units
from scow.content import ContentStore
from scow.errors import InvalidArgument, NotFound
from scow.filters import Filters
from scow.images.layers import Layers
from scow.images.platforms import Platform, normal, parse_platform
from scow.images.store import Image, ImageStore, created_ns
from scow.images.targets import Variant
from scow.reference import Reference
from scow.registry.media import OCI_MANIFEST, Descriptor
from scow.snapshots.overlay import Overlay
from scow.snapshots.snapshotter import Committed

_CONFIG_DEFAULTS: dict[str, Any] = {"Env": None, "Cmd": None, "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None}
_ZERO_TIME = "0001-01-01T00:00:00Z"


def check_platform(image: Image, ref: str, platform: str) -> None:
    """Raises NotFound when the image is not of the platform asked for."""
    if platform:
        want = parse_platform(platform)
        if not is_platform(image, want):
            raise NotFound(f"image with reference {ref} was found but its platform ({image.os}/{image.architecture}) does not match {want}")


def is_platform(image: Image, want: Platform) -> bool:
    """Whether an image is of a platform; one that was asked for without a variant takes any."""
    have = normal(Platform(image.os, image.architecture, image.variant))
    return (have.os, have.architecture) == (want.os, want.architecture) and (not want.variant or have.variant == normal(want).variant)


def descriptor(target: Descriptor) -> dict[str, Any]:
    """A descriptor as the API shows it."""
    return {"mediaType": target.media_type, "digest": target.digest, "size": target.size}


def manifests(
    image: Image, variants: list[Variant], layers: Layers, content: ContentStore, used: dict[str, set[str]]
) -> list[dict[str, Any]]:
    """The rows of `Manifests`: what an image's target lists; the image itself where it has none (its id stands for the manifest's then)."""
    found: list[dict[str, Any]] = []
    for variant in variants:
        where = variant.row.descriptor
        own = variant.row.document or descriptor(where)
        sizes = [where, *((variant.manifest.config, *variant.manifest.layers) if variant.manifest is not None else ())]
        here = sum(content.size(digest) for digest in {one.digest for one in sizes} if content.has(digest))
        row: dict[str, Any] = {
            "ID": where.digest,
            "Descriptor": own,
            "Available": content.has(where.digest),
            "Size": {"Content": here, "Total": here},
        }
        if variant.row.attests:
            row |= {"Kind": "attestation", "AttestationData": {"For": variant.row.attests}}
        elif not variant.row.real:
            row |= {"Kind": "unknown"}
        else:
            row["Available"] = variant.image is not None
            row |= {"Kind": "image", "ImageData": _image_data(variant.platform, variant.image, used)}
            row["Size"]["Total"] += row["ImageData"]["Size"]["Unpacked"]
        found.append(row)
    if not found:
        size = content.size(image.id) if content.has(image.id) else 0
        size += sum(content.size(digest) for digest in {layer.blob for layer in layers.chain(image.layers)} if content.has(digest))
        data = _image_data(Platform(image.os, image.architecture, image.variant), image, used)
        found.append({
            "ID": image.id,
            "Descriptor": {"mediaType": OCI_MANIFEST, "digest": image.id, "size": 0},
            "Available": True,
            "Size": {"Content": size, "Total": size + data["Size"]["Unpacked"]},
            "Kind": "image",
            "ImageData": data,
        })  # fmt: skip
    return found


def _image_data(platform: Platform, image: Image | None, used: dict[str, set[str]]) -> dict[str, Any]:
    where = {"architecture": platform.architecture, "os": platform.os, **({"variant": platform.variant} if platform.variant else {})}
    return {
        "Platform": where,
        "Containers": sorted(used.get(image.id, ())) if image is not None else [],
        "Size": {"Unpacked": image.size if image is not None else 0},
        "UnpackedSize": image.size if image is not None else 0,  # the API's schema requires it, and describes only Size
    }


def _digests(image: Image) -> list[str]:
    return list(image.digests)


def inspect(image: Image, layers: list[Committed], snapshots: Overlay) -> dict[str, Any]:
    """The reply of `/images/{name}/json`."""
    spec = image.spec
    top = image.layers[-1] if image.layers else ""
    data: dict[str, Any] = {}
    if top and len(layers) == len(image.layers):
        trees = snapshots.trees(top)
        base = trees[0].parent
        if len(trees) > 1:
            data["LowerDir"] = ":".join(str(tree) for tree in trees[1:])
        data |= {"MergedDir": str(base / "merged"), "UpperDir": str(trees[0]), "WorkDir": str(base / "work")}
    config = {**_CONFIG_DEFAULTS, **image.config}
    reply: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": _digests(image),
        "Parent": image.parent,
        "Comment": spec.get("comment") or _last_comment(spec),
        "Created": spec.get("created") or _ZERO_TIME,
        "DockerVersion": spec.get("docker_version") or "",
        "Author": spec.get("author") or "",
        "Config": config,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": data, "Name": "overlay2"},
        "RootFS": {"Type": "layers", **({"Layers": list(image.diff_ids)} if image.diff_ids else {})},
        "Metadata": {"LastTagTime": units.rfc3339nano(image.tagged_ns)},
    }
    if image.variant:
        reply["Variant"] = image.variant
    if spec.get("os.version"):
        reply["OsVersion"] = spec["os.version"]
    return reply


def _last_comment(spec: dict[str, Any]) -> str:
    history = spec.get("history") or []
    return str(history[-1].get("comment") or "") if history else ""


def history(image: Image, layers: list[Committed]) -> list[dict[str, Any]]:
    """The reply of `/images/{name}/history`."""
    rows: list[dict[str, Any]] = []
    left = list(layers)
    for row in image.spec.get("history") or []:
        size = 0
        if not row.get("empty_layer") and left:
            size = left.pop(0).size
        rows.append(
            {
                "Id": "<missing>",
                "Created": created_ns(row.get("created")) // 1_000_000_000,
                "CreatedBy": row.get("created_by") or "",
                "Tags": None,
                "Size": size,
                "Comment": row.get("comment") or "",
            }
        )
    if rows:
        rows[-1]["Id"] = image.id
        rows[-1]["Tags"] = list(image.tags) or None
    return rows[::-1]


def summary(image: Image, tags: list[str], digests: list[str], shared: int, containers: int) -> dict[str, Any]:
    """A row of `/images/json`."""
    return {
        "Containers": containers,
        "Created": image.created_ns // 1_000_000_000,
        "Id": image.id,
        "Labels": image.labels or None,
        "ParentId": image.parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": shared,
        "Size": image.size,
    }


def _reference_filter(patterns: frozenset[str], name: str) -> bool:
    """Docker's path.Match on the familiar name, with and without its tag; `*` stays within a path component."""
    reference = Reference.parse(name)
    return any(_matches(pattern, candidate) for pattern in patterns for candidate in (reference.familiar(), reference.familiar_name))


def _matches(pattern: str, text: str) -> bool:
    if pattern == text:
        return True
    if "*" not in pattern and "?" not in pattern and "[" not in pattern:
        return False
    ours, theirs = pattern.split("/"), text.split("/")
    if len(ours) != len(theirs):
        return False
    return all(
        len(one) < 200 and one.count("*") <= 8 and fnmatch.fnmatchcase(two, one.replace("[^", "[!"))
        for one, two in zip(ours, theirs, strict=True)
    )


def listed(store: ImageStore, filters: Filters, all: bool, belonging: Container[str] = ()) -> list[tuple[Image, list[str], list[str]]]:
    """The images that pass, newest first, each with the tags and digests to show. `belonging`: ids of further platforms of an image."""
    before = [store.find(ref).created_ns for ref in filters.values("before")]
    since = [store.find(ref).created_ns for ref in filters.values("since")]
    until = [units.parse_timestamp(text) for text in filters.values("until")]
    if len(until) > 1:
        raise InvalidArgument("more than one until filter specified")
    wants_dangling = filters.boolean("dangling", False) if "dangling" in filters else None
    patterns = filters.values("reference")
    for pattern in patterns:
        if re.search(r"\[[^\]]*\Z", pattern):
            raise InvalidArgument("syntax error in pattern")
    parents = {image.parent for image in store.all()} - {""}
    rows: list[tuple[Image, list[str], list[str]]] = []
    for image in sorted(store.all(), key=lambda image: (-image.created_ns, -image.loaded_ns)):
        named = bool(image.tags or image.digests)
        if not named and image.id in belonging:
            continue
        hidden = not named and image.id in parents
        if (before and not image.created_ns < min(before)) or (since and not image.created_ns > max(since)):
            continue
        if until and not image.created_ns < until[0]:
            continue
        if not filters.match_labels(image.labels) or filters.excluded_by_labels(image.labels):
            continue
        if wants_dangling is not None and wants_dangling is named:
            continue
        if hidden and (wants_dangling is not None or not all):
            continue
        tags, digests = list(image.tags), list(image.digests)
        if patterns:
            tags = [tag for tag in tags if _reference_filter(patterns, tag)]
            digests = [digest for digest in digests if _reference_filter(patterns, digest)]
            if not tags and not digests:
                continue
        rows.append((image, tags, digests))
    return rows


def shared_sizes(images: list[Image], layers: Layers) -> dict[str, int]:
    """Bytes of each image's layers that another image has too."""
    uses = Counter(name for image in images for name in image.layers)
    return {image.id: sum(layer.size for layer in layers.chain(image.layers) if uses[layer.name] > 1) for image in images}


def merged_config(container: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a commit: what the request says, completed from the container's."""
    result = dict(container)
    for key, value in own.items():
        if value in (None, "", [], {}, False, 0):
            continue
        if key in ("Labels", "ExposedPorts", "Volumes"):
            result[key] = {**(container.get(key) or {}), **value}
        elif key == "Env":
            names = {entry.partition("=")[0] for entry in value}
            result[key] = [*value, *(entry for entry in container.get(key) or [] if entry.partition("=")[0] not in names)]
        else:
            result[key] = value
    return result
