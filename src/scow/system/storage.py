"""Where the disk space of the data directory is: rows whose sum is what `du -x` says of it. Nothing is stored here.

Docker's figures are sums of file contents. What the disk holds besides (compressed blobs, bytes kept of broken-off downloads, logs, the
database, directories, and the rounding of each file to blocks) has rows of its own, so nothing is unexplained. Called by df.py.
"""

from collections.abc import Mapping
from typing import Any

_ROUNDING = "Rounding and directories"


def rows(blocks: Mapping[str, int], usage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`blocks`: bytes on disk by path below the data directory ("" for all, "content/blobs", "containers"…); `usage`: the reply of df.

    Each row has Name, Size, and Reclaimable (what an image prune frees at once). The last one takes what is left."""
    containers, volumes, cache = (usage.get(key) or [] for key in ("Containers", "Volumes", "BuildCache"))
    kept = blocks.get("content/partial", 0)
    found = [
        ("Layers", int(usage.get("LayersSize") or 0), 0),
        ("Containers' changes", sum(int(one.get("SizeRw") or 0) for one in containers), 0),
        ("Volumes", sum(max(int((one.get("UsageData") or {}).get("Size") or 0), 0) for one in volumes if one.get("Driver") == "local"), 0),
        ("Build cache", sum(int(one.get("Size") or 0) for one in cache if not one.get("Shared")), 0),
        ("Blobs and manifests", blocks.get("content/blobs", 0), 0),
        ("Downloads kept to go on", kept, kept),
        ("Containers' logs and files", blocks.get("containers", 0), 0),
        ("Database", sum(size for name, size in blocks.items() if name.startswith("meta.db")), 0),
    ]
    rest = blocks.get("", 0) - sum(size for _, size, _ in found)
    found.append((_ROUNDING, rest, 0))
    return [{"Name": name, "Size": size, "Reclaimable": free} for name, size, free in found]
