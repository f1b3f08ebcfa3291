"""The Engine API: routes, versions, errors and streams on top of `http`.

Stores nothing. `app` answers requests, `routes` holds one module per noun, `versions` what older API versions saw differently.
"""

MAX_VERSION = 51
MIN_VERSION = 24


def version_text(minor: int) -> str:
    """The API version as clients write it."""
    return f"1.{minor}"
