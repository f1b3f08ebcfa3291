"""The frontend `dockerfile.v0`: a client's options and contexts become graphs and image configs. Stores nothing.

`run` is what the doors call; `attrs` reads the options, `contexts` finds the Dockerfile and the contexts, `subrequests` answers `--call`.
"""

from scow.build.frontend.run import run

__all__ = ["run"]
