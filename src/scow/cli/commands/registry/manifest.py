"""`scow manifest`: lists of manifests are put together in ~/.docker/manifests, as docker's command line does, and pushed from there."""

import hashlib
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from scow.cli import libraries
from scow.cli.command import Cli, Command
from scow.cli.flags import Options
from scow.cli.format.table import layout
from scow.errors import ScowError
from scow.reference import Reference, parse_normalized
from scow.registry.media import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from scow.units import human_size

if TYPE_CHECKING:
    from scow.cli.registryclient import RegistryClient

_LISTS = (DOCKER_LIST, OCI_INDEX)


def _name(reference: Reference) -> str:
    return re.sub(r"[:/@]", lambda match: {":": "-", "/": "_", "@": "-"}[match[0]], reference.full())


def _folder(cli: Cli, reference: Reference) -> str:
    return f"{cli.config_dir}/manifests/{_name(reference)}"


def _load(cli: Cli, reference: Reference) -> list[dict[str, Any]]:
    """The rows of a local list, [] when there is none."""
    folder = _folder(cli, reference)
    rows = []
    for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        try:
            with open(f"{folder}/{entry}", "rb") as file:
                row = json.loads(file.read(16 << 20))
            assert isinstance(row["Ref"], str) and isinstance(row["Descriptor"], dict) and isinstance(row["Raw"], str)
        except (OSError, ValueError, KeyError, AssertionError, TypeError):
            raise ScowError(f"{folder}/{entry} is no manifest") from None
        rows.append(row)
    return rows


def _save(cli: Cli, target: Reference, row: dict[str, Any]) -> None:
    folder = _folder(cli, target)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(f"{folder}/{_name(Reference.parse(row['Ref']))}", "w") as file:
            json.dump(row, file)
    except OSError as exc:
        raise ScowError(f"{folder}: {(exc.strerror or str(exc)).lower()}") from None


def _client(cli: Cli, reference: Reference, insecure: bool, push: bool = False) -> "RegistryClient":
    libraries.load()
    from scow.cli import registryclient

    return registryclient.of(cli, reference, insecure, push)


def _fetch(client: "RegistryClient", reference: Reference) -> tuple[bytes, str, str]:
    """(bytes, media type, digest) of a manifest. Raises ScowError."""
    try:
        found = client.manifest(reference.digest or reference.tag)
    except ScowError as exc:
        raise ScowError(f"no such manifest: {reference.full()}" if getattr(exc, "status", 0) == 404 else exc.message) from None
    return found.data, found.media_type, found.digest


def _document(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ScowError("the manifest is no JSON object")
    return found


def _row(client: "RegistryClient", reference: Reference) -> dict[str, Any]:
    """An image of a registry as a row of a local list."""
    data, kind, digest = _fetch(client, reference)
    if kind in _LISTS:
        raise ScowError(f"{reference.full()} is a manifest list")
    if kind not in (DOCKER_MANIFEST, OCI_MANIFEST):
        raise ScowError(f"unsupported manifest format: {kind}")
    document = _document(data)
    try:
        config = client.config(str(document["config"]["digest"]), int(document["config"]["size"]))
    except (KeyError, TypeError, ValueError):
        raise ScowError(f"{reference.full()} has no config") from None
    spec = _document(config)
    platform = {key: str(spec[key]) for key in ("architecture", "os", "os.version", "variant") if spec.get(key)}
    return {
        "Ref": reference.full(),
        "Descriptor": {"mediaType": kind, "digest": digest, "size": len(data), "platform": platform},
        "Raw": data.decode("utf-8", "replace"),
        "SchemaV2Manifest": document,
    }


def create(cli: Cli, options: Options, args: list[str]) -> int:
    """Makes a local list."""
    target = parse_normalized(args[0])
    if os.path.isdir(_folder(cli, target)) and not options.flag("amend"):
        raise ScowError("refusing to amend an existing manifest list with no --amend flag")
    rows = []
    for text in args[1:]:
        reference = parse_normalized(text)
        if reference.domain != target.domain:
            raise ScowError(
                f"cannot use source images from a different registry than the target image: {reference.domain} != {target.domain}"
            )
        rows.append(_row(_client(cli, reference, options.flag("insecure")), reference))
    for row in rows:
        _save(cli, target, row)
    cli.out(f"Created manifest list {target.full()}\n")
    return 0


def annotate(cli: Cli, options: Options, args: list[str]) -> int:
    """Changes the platform of a row."""
    target, reference = parse_normalized(args[0]), parse_normalized(args[1])
    row = next((one for one in _load(cli, target) if one["Ref"] == reference.full()), None)
    if row is None:
        raise ScowError(f"manifest for image {reference.full()} does not exist in {target.full()}")
    platform = row["Descriptor"].setdefault("platform", {})
    for flag, key in (("arch", "architecture"), ("os", "os"), ("os-version", "os.version"), ("variant", "variant")):
        if options.text(flag):
            platform[key] = options.text(flag)
    if options.list("os-features"):
        platform["os.features"] = sorted({*platform.get("os.features", ()), *options.list("os-features")})
    if not platform.get("os") or not platform.get("architecture"):
        raise ScowError(
            f"manifest entry for image has unsupported os/arch combination: {platform.get('os')}/{platform.get('architecture')}"
        )
    _save(cli, target, row)
    return 0


def inspect(cli: Cli, options: Options, args: list[str]) -> int:
    """Shows a manifest: of a local list, of an image in it, or of a registry."""
    reference = parse_normalized(args[-1])
    if len(args) == 2:
        row = next((one for one in _load(cli, parse_normalized(args[0])) if one["Ref"] == reference.full()), None)
        if row is None:
            raise ScowError(f"no such manifest: {reference.full()}")
        return _print(cli, row if options.flag("verbose") else _document(row["Raw"].encode()))
    rows = _load(cli, reference)
    if rows:
        return _print(cli, rows if options.flag("verbose") else _list(rows))
    client = _client(cli, reference, options.flag("insecure"))
    data, kind, _ = _fetch(client, reference)
    document = _document(data)
    if not options.flag("verbose"):
        return _print(cli, document)
    if kind not in _LISTS:
        return _print(cli, _row(client, reference))
    digests = [one.get("digest") for one in document.get("manifests") or [] if isinstance(one, dict)]
    return _print(cli, [_row(client, Reference(reference.domain, reference.path, "", str(digest))) for digest in digests])


def _print(cli: Cli, value: Any) -> int:
    cli.out(json.dumps(value, indent="\t", ensure_ascii=False) + "\n")
    return 0


def _list(rows: list[dict[str, Any]]) -> dict[str, Any]:
    oci = all(row["Descriptor"].get("mediaType") == OCI_MANIFEST for row in rows)
    return {"schemaVersion": 2, "mediaType": OCI_INDEX if oci else DOCKER_LIST, "manifests": [row["Descriptor"] for row in rows]}


def push(cli: Cli, options: Options, args: list[str]) -> int:
    """Sends a local list, and the manifests in it that lie in other repositories of the registry."""
    target = parse_normalized(args[0])
    rows = _load(cli, target)
    if not rows:
        raise ScowError(f"{args[0]} not found")
    client = _client(cli, target, options.flag("insecure"), push=True)
    client.also(sorted({path for row in rows if (path := Reference.parse(row["Ref"]).path) != target.path}))
    for row in rows:
        source = Reference.parse(row["Ref"])
        if source.path != target.path:
            document = _document(row["Raw"].encode())
            for blob in [document.get("config"), *(document.get("layers") or [])]:
                digest = str(blob.get("digest")) if isinstance(blob, dict) else ""
                if not client.mount(digest, source.path):
                    raise ScowError(f"the registry does not mount {digest} from {source.path}: push that image to {target.path} first")
            client.put(row["Descriptor"]["digest"], row["Descriptor"]["mediaType"], row["Raw"].encode())
    document = _list(rows)
    data = json.dumps(document, indent=3).encode()
    client.put(target.tag, document["mediaType"], data)
    cli.out(f"sha256:{hashlib.sha256(data).hexdigest()}\n")
    if options.flag("purge"):
        shutil.rmtree(_folder(cli, target), ignore_errors=True)
    return 0


def rm(cli: Cli, options: Options, args: list[str]) -> int:
    """Deletes local lists."""
    missing = []
    for text in args:
        folder = _folder(cli, parse_normalized(text))
        if not os.path.isdir(folder):
            missing.append(f"No such manifest: {text}")
            continue
        shutil.rmtree(folder)
    if missing:
        raise ScowError("\n".join(missing))
    return 0


def referrers(cli: Cli, options: Options, args: list[str]) -> int:
    """Lists what refers to an image: signatures, attestations, lists of parts."""
    reference = parse_normalized(args[0])
    client = _client(cli, reference, options.flag("insecure"))
    digest = reference.digest or _fetch(client, reference)[2]
    rows = client.referrers(digest, options.text("artifact-type"))
    if options.text("format") == "json":
        return _print(cli, rows)
    shown = [[str(row["digest"]), str(row.get("artifactType") or ""), human_size(row.get("size") or 0, 3)] for row in rows]
    cli.out(layout([["DIGEST", "ARTIFACT TYPE", "SIZE"], *shown]))
    return 0


_INSECURE = ("insecure", "", "bool", False, "Allow plain HTTP and bad certificates")
CREATE = Command(
    " MANIFEST_LIST MANIFEST [MANIFEST...]",
    "Create a local manifest list for annotating and pushing to a registry",
    (("amend", "a", "bool", False, "Change a list that is there"), _INSECURE),
    create,
    2,
)
ANNOTATE = Command(
    " [OPTIONS] MANIFEST_LIST MANIFEST",
    "Add additional information to a local image manifest",
    (
        ("arch", "", "string", "", "Architecture"),
        ("os", "", "string", "", "Operating system"),
        ("os-features", "", "strings", (), "Features of the operating system"),
        ("os-version", "", "string", "", "Version of the operating system"),
        ("variant", "", "string", "", "Variant of the architecture"),
    ),
    annotate,
    2,
    2,
)
INSPECT = Command(
    " [OPTIONS] [MANIFEST_LIST] MANIFEST",
    "Display an image manifest, or manifest list",
    (_INSECURE, ("verbose", "v", "bool", False, "Show layers and platform, too")),
    inspect,
    1,
    2,
)
PUSH = Command(
    " [OPTIONS] MANIFEST_LIST",
    "Push a manifest list to a repository",
    (_INSECURE, ("purge", "p", "bool", False, "Remove the local list after the push")),
    push,
    1,
    1,
)
RM = Command(" MANIFEST_LIST [MANIFEST_LIST...]", "Delete one or more manifest lists from local storage", (), rm, 1)
REFERRERS = Command(
    " [OPTIONS] IMAGE",
    "List what refers to an image in a registry: signatures, attestations and the like",
    (
        ("artifact-type", "", "string", "", "Only of this type"),
        ("format", "", "string", "", "Format of the output: json"),
        _INSECURE,
    ),
    referrers,
    1,
    1,
)
