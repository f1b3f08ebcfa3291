"""The libraries of scow's environment for the few commands that need some: the client starts without site-packages, for speed."""

import sys


def load() -> None:
    """Make them importable."""
    if "site" in sys.modules:
        return
    from importlib.machinery import PathFinder

    if PathFinder.find_spec("orjson") is None:  # only looked for: its import costs 7 ms
        import site

        site.main()
