"""The graph while a Dockerfile is converted: trees that know what they are made from, and sources whose paths are known only at the end.

`emit` turns what a result needs into `llb` vertices, each after its inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from scow.build.llb.ops import Builder, Definition, Input, Location, Meta, Op, Platform


@dataclass(slots=True, eq=False)
class Tree:
    """A file tree to be: the result `index` of an op on other trees. `late` makes the op when the graph is emitted."""

    op: Op | None = None
    inputs: tuple["Tree", ...] = ()
    index: int = 0
    platform: Platform | None = None
    meta: Meta = Meta()
    location: Location | None = None
    late: Callable[[], Op] | None = None
    graph: Definition | None = None
    """A graph that was made elsewhere, whose root this tree is."""
    ready: Input | None = field(default=None)
    """Set when the tree is part of the graph."""


def emit(root: Tree | None, builder: Builder) -> Input | None:
    """Add a tree and all it needs to the graph; None is an empty tree. Chains may be thousands of steps long, so nothing recurses."""
    if root is None:
        return None
    waiting = [root]
    while waiting:
        tree = waiting[-1]
        if tree.ready is not None:
            waiting.pop()
            continue
        if tree.graph is not None and tree.graph.root is not None:
            builder.vertices |= {digest: vertex for digest, vertex in tree.graph.vertices.items() if digest not in builder.vertices}
            tree.ready = tree.graph.root
            continue
        missing = [one for one in tree.inputs if one.ready is None]
        if missing:
            waiting.extend(missing)
            continue
        op = tree.late() if tree.late else tree.op
        assert op is not None
        inputs = tuple(one.ready for one in tree.inputs if one.ready is not None)
        digest = builder.add(op, inputs, tree.platform, tree.meta, tree.location)
        tree.ready = Input(digest, tree.index)
        waiting.pop()
    return root.ready


class Inputs:
    """The inputs of one op while its mounts or actions are collected: the same tree is one input."""

    def __init__(self) -> None:
        self.trees: list[Tree] = []

    def add(self, tree: Tree | None) -> int:
        """The index of a tree; -1 for an empty one."""
        if tree is None:
            return -1
        for index, one in enumerate(self.trees):
            if one is tree:
                return index
        self.trees.append(tree)
        return len(self.trees) - 1
