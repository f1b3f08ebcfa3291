"""The libraries of scow's environment for the few commands that need some: the client starts without site-packages, for speed."""

import sys
from _frozen_importlib_external import PathFinder  # importlib.machinery would import warnings and types


def load() -> None:
    """Make them importable."""
    if "site" in sys.modules:
        return
    if PathFinder.find_spec("orjson") is None:  # only looked for: its import costs 7 ms
        import site

        site.main()
