"""What the engine calls itself. Clients parse the version as Docker's, with ours as build metadata (which comparisons ignore)."""

import scow

DOCKER_VERSION = "28.5.2"
SCOW_VERSION = getattr(scow, "__version__", "0.1.0")
ENGINE_VERSION = f"{DOCKER_VERSION}+scow{SCOW_VERSION}"
SERVER_NAME = f"Docker/{ENGINE_VERSION} (linux)"
