"""The libraries of scow's environment for the few commands that need some: the client starts without site-packages, for speed."""


def load() -> None:
    """Make them importable."""
    try:
        import orjson  # noqa: F401
    except ImportError:
        import site

        site.main()
