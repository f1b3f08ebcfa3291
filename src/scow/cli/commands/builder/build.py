"""`scow build`: chooses the door. BuildKit's, unless DOCKER_BUILDKIT=0 asks for the classic builder."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.errors import ScowError


def classic_asked(cli: Cli) -> bool:
    """Whether the environment asks for the classic builder. Raises ScowError for what is no truth value."""
    text = cli.env("DOCKER_BUILDKIT")
    if text.lower() in ("", "1", "t", "true"):
        return False
    if text.lower() in ("0", "f", "false"):
        return True
    raise ScowError(f'DOCKER_BUILDKIT environment variable expects boolean value: strconv.ParseBool: parsing "{text}": invalid syntax')


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Builds an image."""
    if not classic_asked(cli):
        from scow.cli import libraries

        libraries.load()
        from scow.cli.commands.builder import buildkit

        return buildkit.build(cli, options, args[0])
    for name, *_ in BUILDKIT_FLAGS:
        if options.given(name):
            raise ScowError(f"the --{name} option requires BuildKit: leave DOCKER_BUILDKIT=0 away")
    from scow.cli.commands.builder import classic

    return classic.build(cli, options, args[0])


CLASSIC_FLAGS = (
    ("add-host", "", "list", (), 'Add a name to /etc/hosts of the steps ("name:ip")'),
    ("build-arg", "", "list", (), "Set the value of an ARG"),
    ("cache-from", "", "strings", (), "Images whose steps are used as cache"),
    ("cgroup-parent", "", "string", "", "Control group that the steps run below"),
    ("compress", "", "bool", False, "Send the context compressed"),
    ("cpu-period", "", "int", 0, "Length of a period of the CPU limit, in microseconds"),
    ("cpu-quota", "", "int", 0, "CPU time in a period, in microseconds"),
    ("cpu-shares", "c", "int", 0, "Weight among others for CPU time"),
    ("cpuset-cpus", "", "string", "", "CPUs that the steps run on (0-3, 0,1)"),
    ("cpuset-mems", "", "string", "", "Memory nodes that the steps use"),
    ("disable-content-trust", "", "bool", True, "Accepted; there is nothing to disable"),
    ("file", "f", "string", "", "Name of the Dockerfile (default: PATH/Dockerfile)"),
    ("force-rm", "", "bool", False, "Remove the steps' containers also when the build fails"),
    ("iidfile", "", "string", "", "Write the image's id to a file"),
    ("isolation", "", "string", "", "Accepted; for Windows"),
    ("label", "", "list", (), "Set a label of the image"),
    ("memory", "m", "bytes", 0, "Memory that a step may use"),
    ("memory-swap", "", "swap", 0, "Memory and swap together; -1 for no limit of swap"),
    ("network", "", "string", "default", "Network of the steps"),
    ("no-cache", "", "bool", False, "Don't use the cache"),
    ("platform", "", "string", "", "Platform to build for, or several (linux/amd64,linux/arm64)"),
    ("pull", "", "bool", False, "Fetch newer base images"),
    ("quiet", "q", "bool", False, "Print only the image's id"),
    ("rm", "", "bool", True, "Remove the steps' containers after a build that worked"),
    ("security-opt", "", "strings", (), "Security options of the steps"),
    ("shm-size", "", "bytes", 0, "Size of /dev/shm"),
    ("squash", "", "bool", False, "Make one layer of all"),
    ("tag", "t", "list", (), 'Name of the image ("name:tag")'),
    ("target", "", "string", "", "Stage to build"),
    ("ulimit", "", "ulimit", (), "Limits of the steps (name=soft[:hard])"),
)
BUILDKIT_FLAGS = (
    ("allow", "", "strings", (), "Grant the build what it asks for (network.host, security.insecure)"),
    ("annotation", "", "stringArray", (), "Add an annotation to the image"),
    ("attest", "", "stringArray", (), "Attestations to make (type=provenance,mode=max)"),
    ("build-context", "", "stringArray", (), "Further contexts (name=path, name=docker-image://image)"),
    ("cache-to", "", "stringArray", (), "Where the cache is written to (type=registry,ref=…)"),
    ("call", "", "string", "build", "What to ask: build, check, outline, targets"),
    ("check", "", "bool", False, "Only check the Dockerfile"),
    ("explain", "", "bool", False, "Say for each step why it was run, or taken from the cache"),
    ("load", "", "bool", False, "Accepted; the engine has the image anyway"),
    ("metadata-file", "", "string", "", "Write facts about the result to a file"),
    ("no-cache-filter", "", "strings", (), "Don't use the cache for these stages"),
    ("output", "o", "stringArray", (), "Where the result goes (type=local,dest=path)"),
    ("progress", "", "string", "", "How progress is shown: auto, plain, tty, rawjson, quiet"),
    ("provenance", "", "string", "", "Attest how the image was made (true, mode=max)"),
    ("push", "", "bool", False, "Send the image to its registry"),
    ("reproducible", "", "bool", False, "Two builds of the same files give the same digest"),
    ("sbom", "", "string", "", "Attest what the image holds"),
    ("secret", "", "stringArray", (), "Secrets for the steps (id=name,src=file)"),
    ("ssh", "", "stringArray", (), "Agents for the steps (default, name=socket)"),
)
BUILD = Command(" [OPTIONS] PATH | URL | -", "Build an image from a Dockerfile", (*CLASSIC_FLAGS, *BUILDKIT_FLAGS), run, 1, 1)
