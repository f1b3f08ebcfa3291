"""What comes first among names that need each other. Without recursion: a chain may be as long as a file. Called by `reconcile.py` and
`commands/config.py`."""

from __future__ import annotations

from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def ordered(names: Iterable[str], before: Callable[[str], Iterable[str]], circles: bool = False) -> list[str]:
    """The names and what they need, each behind what `before` says of it. Raises ScowError for a circle, where they are not allowed."""
    found: dict[str, None] = {}
    for first in names:
        stack = [] if first in found else [(first, iter(before(first)))]
        within = {first}
        while stack:
            name, rest = stack[-1]
            other = next((one for one in rest if one not in found), None)
            if other is None:
                found[name] = None
                within.discard(name)
                stack.pop()
            elif other not in within:
                within.add(other)
                stack.append((other, iter(before(other))))
            elif not circles:
                raise ScowError(f"dependency cycle detected: {' -> '.join([one for one, _ in stack] + [other])}")
    return list(found)
