"""Layers with sparse files, as GNU tar writes them in each of its ways."""

import os
import subprocess
from pathlib import Path

import pytest

from scow.images.service import ImageService
from tests.support.images import imported, mounted, needs_root, with_service

pytestmark = needs_root
WAYS = {"old": ["--format=gnu"], **{way: ["--format=posix", f"--sparse-version={way}"] for way in ("0.0", "0.1", "1.0")}}


@pytest.mark.parametrize("way", WAYS)
def test_holes_stay_holes(tmp_path: Path, way: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "holes").open("wb") as file:
        for at in range(0, 40 << 20, 1 << 20):  # more pieces than one header holds
            file.seek(at)
            file.write(b"%010d" % at)
        file.truncate(64 << 20)
    (tree / "after").write_bytes(b"what follows")
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-S", *WAYS[way], "-cf", str(archive), "-C", str(tree), "holes", "after"], check=True)
    assert archive.stat().st_size < 2 << 20

    async def use(images: ImageService) -> None:
        await imported(images, archive.read_bytes(), "sparse")
        async with mounted(images, "sparse", tmp_path / "root") as root:
            assert (root / "holes").read_bytes() == (tree / "holes").read_bytes()
            assert (root / "holes").stat().st_blocks * 512 < 8 << 20
            assert (root / "after").read_bytes() == b"what follows"
            assert not [name for name in os.listdir(root) if "holes" in name.lower() and name != "holes"]

    with_service(tmp_path / "engine", use)
