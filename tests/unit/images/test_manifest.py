import json
from typing import Any

import pytest

from scow.errors import InvalidArgument, NotFound
from scow.images.manifest import ImageManifest, Index, choose, fits, parse
from scow.images.platforms import parse_platform
from scow.registry.media import OCI_INDEX, OCI_MANIFEST, Manifest
from tests.fakes.registry import DOCKER, LIST, index, manifest, sha256

GOOD = json.loads(manifest(b"{}", [b"layer"]))


def _parse(document: Any, kind: str = DOCKER) -> ImageManifest | Index:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse(Manifest(sha256(data), kind, data))


def test_an_image() -> None:
    found = _parse(GOOD)
    assert isinstance(found, ImageManifest)
    assert found.config.digest == sha256(b"{}")
    assert [layer.digest for layer in found.layers] == [sha256(b"layer")]
    assert isinstance(_parse({**GOOD, "mediaType": OCI_MANIFEST}, "application/json"), ImageManifest)
    assert isinstance(_parse({key: value for key, value in GOOD.items() if key != "mediaType"}, OCI_MANIFEST), ImageManifest)


def _with(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (b"", DOCKER),
        (b"[]", DOCKER),
        (b"[" * 100_000, DOCKER),
        ({"schemaVersion": 2}, DOCKER),
        ({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (GOOD, "application/vnd.example+json"),
        (GOOD, OCI_MANIFEST),
        (_with(manifests=[]), DOCKER),
        ({**json.loads(index([])), "layers": []}, LIST),
        (_with(config={**GOOD["config"], "mediaType": "application/vnd.cncf.helm.config.v1+json"}), DOCKER),
        (_with(config={**GOOD["config"], "digest": "sha256:../../etc/passwd"}), DOCKER),
        (_with(config={**GOOD["config"], "size": -1}), DOCKER),
        (_with(config={**GOOD["config"], "size": True}), DOCKER),
        (_with(layers=[{**GOOD["layers"][0], "mediaType": "application/x-evil"}]), DOCKER),
        (_with(layers=[{**GOOD["layers"][0], "size": 1 << 60}]), DOCKER),
        (_with(layers=GOOD["layers"] * 501), DOCKER),
        (_with(layers={}), DOCKER),
    ],
)
def test_what_is_refused(document: Any, kind: str) -> None:
    with pytest.raises(InvalidArgument):
        _parse(document, kind)


@pytest.mark.parametrize(
    ("want", "found"),
    [
        ("linux/amd64", 0),
        ("linux/arm64", 1),
        ("linux/arm64/v8", 1),
        ("linux/arm/v7", 3),
        ("linux/arm", 3),
        ("linux/arm/v6", 2),
        ("linux/arm/v8", 3),
        ("linux/arm/v5", None),
        ("linux/amd64/v3", 0),
        ("linux/riscv64", None),
        ("windows/amd64", 4),
    ],
)
def test_the_image_for_a_platform(want: str, found: int | None) -> None:
    texts = ["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64", "unknown/unknown"]
    rows = []
    for text in texts:
        os, architecture, *variant = text.split("/")
        rows.append((text.encode(), {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}))
    listed = _parse(index(rows), LIST)
    assert isinstance(listed, Index)
    if found is None:
        with pytest.raises(NotFound, match=f"no matching manifest for {want} in the manifest list entries"):
            choose(listed, parse_platform(want))
    else:
        assert choose(listed, parse_platform(want)).digest == sha256(texts[found].encode())


def test_indexes_of_oci() -> None:
    document = {**json.loads(index([(b"x", {"os": "linux", "architecture": "amd64"})])), "mediaType": OCI_INDEX}
    assert isinstance(_parse(document, OCI_INDEX), Index)
    assert fits(parse_platform("linux/arm64"), parse_platform("linux/amd64")) == 0
