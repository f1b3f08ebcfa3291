"""Who may import whom: the house's picture as a table. A package may import what its row names, and itself."""

FOUNDATION = {"errors", "ids", "reference", "filters", "units", "gotemplate", "log", "model", "opts"}

ALLOWED: dict[str, set[str]] = {
    # bottom: no engine code below these
    "errors": set(),
    "log": set(),
    "ids": {"errors"},
    "reference": {"errors"},
    "units": {"errors"},
    "filters": {"errors", "units"},
    "fastjson": set(),
    "gotemplate": {"errors", "units", "fastjson"},
    "model": {"errors"},
    "opts": {"errors", "units", "model"},
    "kernel": {"errors"},
    "aio": {"log", "errors"},
    "events": {"log"},
    "keeper": {"kernel"},
    # nouns: none imports another, but as written
    "metadata": FOUNDATION | {"kernel", "aio"},
    "archive": FOUNDATION | {"kernel", "aio"},
    "content": FOUNDATION | {"kernel", "aio", "metadata"},
    "snapshots": FOUNDATION | {"kernel", "aio", "metadata", "archive"},
    "logdrivers": FOUNDATION | {"kernel", "aio", "keeper"},
    "registry": FOUNDATION | {"kernel", "aio", "content"},
    "images": FOUNDATION | {"kernel", "aio", "events", "metadata", "archive", "content", "snapshots", "registry"},
    "runtime": FOUNDATION | {"kernel", "aio", "events", "keeper", "logdrivers"},
    "network": FOUNDATION | {"kernel", "aio", "events", "metadata"},
    "plugins": FOUNDATION | {"aio"},
    "volumes": FOUNDATION | {"kernel", "aio", "events", "metadata", "archive", "plugins"},
    "containers": FOUNDATION | {"kernel", "aio", "events", "metadata", "archive", "images", "runtime", "network", "volumes", "logdrivers"},
    "build": FOUNDATION
    | {
        "kernel",
        "aio",
        "events",
        "metadata",
        "archive",
        "content",
        "snapshots",
        "registry",
        "images",
        "runtime",
        "network",
        "logdrivers",
        "http",
    },
    "system": FOUNDATION | {"kernel", "aio", "events", "containers", "images", "network", "volumes", "runtime", "logdrivers"},
    # doors
    "http": FOUNDATION | {"aio"},
    "api": FOUNDATION
    | {
        "aio",
        "events",
        "http",
        "containers",
        "images",
        "registry",
        "network",
        "volumes",
        "system",
        "logdrivers",
        "runtime",
        "build",
        "swarm",
    },
    "client": {"errors", "units", "reference", "model", "opts", "fastjson"},
    # a client: no daemon code; `cli` runs its commands, by name, and lends it terminal, tables and the build client
    "compose": {"errors", "units", "reference", "filters", "model", "opts", "gotemplate", "fastjson", "client", "cli"},
    "bootstrap": {"errors"},
    "registryd": FOUNDATION | {"aio", "http", "registry"},
    # registryd: only commands/registry/server.py, which is that program
    # the cluster: knows no engine; `engine_executor` carries its tasks out
    "swarm": FOUNDATION | {"kernel", "aio", "events", "metadata", "registry"},
    "engine_executor": FOUNDATION
    | {
        "kernel",
        "aio",
        "events",
        "metadata",
        "swarm",
        "containers",
        "images",
        "runtime",
        "network",
        "volumes",
        "registry",
        "logdrivers",
        "system",
    },
    # registry: only registryclient.py and `manifest`, which speaks to registries without the engine
    "cli": FOUNDATION | {"client", "fastjson", "bootstrap", "registryd", "registry", "build"},
}
# what the command line may know of the builder: the wire, which is the same at both ends, and how errors are shown
CLI_OF_BUILD = {"scow.build.session", "scow.build.dockerfile.errors"}
ALLOWED["daemon"] = set(ALLOWED)  # wiring sees everything
