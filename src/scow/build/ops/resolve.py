"""How a vertex becomes an op. The solver's, given to it by `buildkit.py`.

Kinds that few builds have are imported when the first of them is met.
"""

from __future__ import annotations

from scow.build.llb import ops
from scow.build.llb.ops import SourceOp, Vertex
from scow.build.ops import exec as execution
from scow.build.ops import file, image, local, merge
from scow.build.ops.kit import Kit
from scow.build.solver.types import Op
from scow.errors import Unsupported


def resolve(kit: Kit, vertex: Vertex) -> Op:
    """The op of a vertex. Raises Unsupported for what this engine cannot do."""
    op = vertex.op
    match op:
        case ops.ExecOp():
            return execution.Exec(kit, vertex, op)
        case ops.FileOp():
            return file.File(kit, vertex, op)
        case ops.MergeOp():
            return merge.Merge(kit, op)
        case ops.DiffOp():
            return merge.Diff(kit, op)
        case ops.SourceOp():
            return _source(kit, vertex, op)
        case _:
            raise Unsupported("builds described by a tree (BuildOp) are not supported by this engine")


def _source(kit: Kit, vertex: Vertex, op: SourceOp) -> Op:
    scheme = op.identifier.partition("://")[0]
    match scheme:
        case "docker-image":
            return image.ImageSource(kit, vertex, op)
        case "local":
            return local.Local(kit, vertex, op)
        case "http" | "https":
            from scow.build.ops import http

            return http.Http(kit, op)
        case "oci-layout":
            from scow.build.ops import ocilayout

            return ocilayout.OciLayout(kit, vertex, op)
        case "git":
            from scow.build.ops import git

            return git.Git(kit, op)
        case _:
            raise Unsupported(f"sources of the kind {scheme[:40]}:// are not supported by this engine")
