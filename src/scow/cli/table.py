"""The command table: every command by its full words, with the module that holds it, and the flags before it. Modules are imported when
their command runs."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Command
    from scow.cli.flags import Flag

C = "scow.cli.commands."

# words: (module, name in it, one line)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "container attach": (C + "container.attach", "ATTACH", "Join the streams of a running container"),
    "container commit": (C + "container.commit", "COMMIT", "Make an image of a container's changes"),
    "container cp": (C + "container.cp", "CP", "Copy files between a container and this machine"),
    "container create": (C + "container.run", "CREATE", "Create a container without starting it"),
    "container diff": (C + "container.commit", "DIFF", "Show what changed in a container's files"),
    "container exec": (C + "container.exec", "EXEC", "Run a command in a running container"),
    "container export": (C + "container.commit", "EXPORT", "Write a container's files as a tar archive"),
    "container inspect": (C + "system.inspect", "CONTAINER", "Show everything about containers"),
    "container kill": (C + "container.lifecycle", "KILL", "Kill running containers"),
    "container logs": (C + "container.logs", "LOGS", "Show a container's output"),
    "container ls": (C + "container.ls", "LS", "List containers"),
    "container pause": (C + "container.lifecycle", "PAUSE", "Freeze all processes of containers"),
    "container port": (C + "container.port", "PORT", "Show a container's published ports"),
    "container prune": (C + "system.prune", "CONTAINER", "Remove all stopped containers"),
    "container rename": (C + "container.lifecycle", "RENAME", "Give a container another name"),
    "container restart": (C + "container.lifecycle", "RESTART", "Stop and start containers"),
    "container rm": (C + "container.lifecycle", "RM", "Remove containers"),
    "container run": (C + "container.run", "RUN", "Create a container from an image and run it"),
    "container start": (C + "container.start", "START", "Start stopped containers"),
    "container stats": (C + "container.stats", "STATS", "Show what containers use, live"),
    "container stop": (C + "container.lifecycle", "STOP", "Stop running containers"),
    "container top": (C + "container.port", "TOP", "Show a container's processes"),
    "container unpause": (C + "container.lifecycle", "UNPAUSE", "Thaw all processes of containers"),
    "container update": (C + "container.update", "UPDATE", "Change limits of containers"),
    "container wait": (C + "container.lifecycle", "WAIT", "Wait until containers stop, then print their exit codes"),
    "builder du": (C + "builder.prune", "DU", "Show the build cache"),
    "builder prune": (C + "builder.prune", "PRUNE", "Remove build cache"),
    "image bootstrap": (C + "image.bootstrap", "BOOTSTRAP", "Make a base image from the distribution's packages"),
    "image build": (C + "builder.build", "BUILD", "Build an image from a Dockerfile"),
    "image history": (C + "image.ls", "HISTORY_COMMAND", "Show how an image was made"),
    "image import": (C + "image.archive", "IMPORT", "Make an image of a file system archive"),
    "image inspect": (C + "system.inspect", "IMAGE", "Show everything about images"),
    "image load": (C + "image.archive", "LOAD", "Load images from an archive or standard input"),
    "image ls": (C + "image.ls", "LS", "List images"),
    "image pull": (C + "image.transfer", "PULL", "Fetch an image from a registry"),
    "image push": (C + "image.transfer", "PUSH", "Send an image to a registry"),
    "image prune": (C + "system.prune", "IMAGE", "Remove unused images"),
    "image rm": (C + "image.rm", "RM", "Remove images"),
    "image save": (C + "image.archive", "SAVE", "Write images to an archive or standard output"),
    "image tag": (C + "image.rm", "TAG", "Give an image another name"),
    "login": (C + "registry.login", "LOGIN", "Log in to a registry"),
    "logout": (C + "registry.login", "LOGOUT", "Log out from a registry"),
    "search": (C + "registry.login", "SEARCH", "Search a registry for images"),
    "manifest annotate": (C + "registry.manifest", "ANNOTATE", "Add what is known of an image to a local manifest list"),
    "manifest create": (C + "registry.manifest", "CREATE", "Make a local manifest list of images in a registry"),
    "manifest inspect": (C + "registry.manifest", "INSPECT", "Show an image's manifest, or a manifest list"),
    "manifest push": (C + "registry.manifest", "PUSH", "Send a manifest list to a registry"),
    "manifest referrers": (C + "registry.manifest", "REFERRERS", "List what refers to an image: signatures, attestations and the like"),
    "manifest rm": (C + "registry.manifest", "RM", "Delete local manifest lists"),
    "network connect": (C + "network.connect", "CONNECT", "Connect a container to a network"),
    "network create": (C + "network.create", "CREATE", "Create a network"),
    "network disconnect": (C + "network.connect", "DISCONNECT", "Disconnect a container from a network"),
    "network exposed": (C + "network.exposed", "EXPOSED", "List what can be reached from outside"),
    "network inspect": (C + "system.inspect", "NETWORK", "Show everything about networks"),
    "network ls": (C + "network.ls", "LS", "List networks"),
    "network prune": (C + "system.prune", "NETWORK", "Remove all unused networks"),
    "network repair": (C + "network.exposed", "REPAIR", "Make the kernel's networks equal to what the engine has stored"),
    "network rm": (C + "network.ls", "RM", "Remove networks"),
    "registry gc": (C + "registry.server", "GC", "Remove blobs that no manifest needs, also while the server runs"),
    "registry retention": (C + "registry.server", "RETENTION", "Manage the rules by which tags are removed"),
    "registry serve": (C + "registry.server", "SERVE", "Serve a registry from a directory"),
    "registry token": (C + "registry.server", "TOKEN", "Manage tokens that stand for a user's password"),
    "registry user": (C + "registry.server", "USER", "Manage the users of a registry"),
    "volume create": (C + "volume.volume", "CREATE", "Create a volume"),
    "volume export": (C + "volume.travel", "EXPORT", "Write the files of a volume to a tar archive"),
    "volume import": (C + "volume.travel", "IMPORT", "Put the files of a tar archive into a volume"),
    "volume inspect": (C + "system.inspect", "VOLUME", "Show everything about volumes"),
    "volume ls": (C + "volume.volume", "LS", "List volumes"),
    "volume prune": (C + "system.prune", "VOLUME", "Remove unused local volumes"),
    "volume update": (C + "volume.volume", "UPDATE", ""),
    "volume rm": (C + "volume.volume", "RM", "Remove volumes"),
    "checkpoint create": (C + "container.checkpoint", "CREATE", ""),
    "checkpoint ls": (C + "container.checkpoint", "LS", ""),
    "checkpoint rm": (C + "container.checkpoint", "RM", ""),
    "plugin create": (C + "plugin.plugin", "CREATE", "Make a plugin of a folder"),
    "plugin disable": (C + "plugin.plugin", "DISABLE", "Disable a plugin"),
    "plugin enable": (C + "plugin.plugin", "ENABLE", "Enable a plugin"),
    "plugin inspect": (C + "system.inspect", "PLUGIN", "Show everything about plugins"),
    "plugin install": (C + "plugin.plugin", "INSTALL", "Install a plugin"),
    "plugin ls": (C + "plugin.plugin", "LS", "List plugins"),
    "plugin push": (C + "plugin.plugin", "PUSH", "Send a plugin to a registry"),
    "plugin rm": (C + "plugin.plugin", "RM", "Remove plugins"),
    "plugin set": (C + "plugin.plugin", "SET", "Change settings of a plugin"),
    "plugin upgrade": (C + "plugin.plugin", "UPGRADE", "Replace a plugin by a newer one"),
    "system df": (C + "system.df", "DF", "Show disk usage"),
    "system events": (C + "system.events", "EVENTS", "Show events of the engine as they happen"),
    "system info": (C + "system.info", "INFO", "Show facts about the engine"),
    "system prune": (C + "system.prune", "SYSTEM", "Remove unused data"),
    "system dial-stdio": (C + "system.dial", "DIAL", ""),
    "context ls": (C + "context.context", "LS", "List contexts"),
    "context show": (C + "context.context", "SHOW", "Print the name of the current context"),
    "context use": (C + "context.context", "USE", "Choose the current context"),
    "context inspect": (C + "context.context", "INSPECT", "Show everything about contexts"),
    "context create": (C + "context.context", "CREATE", "Create a context"),
    "context update": (C + "context.context", "UPDATE", "Change a context"),
    "context export": (C + "context.context", "EXPORT", "Write a context to an archive"),
    "context import": (C + "context.context", "IMPORT", "Store a context from an archive"),
    "context rm": (C + "context.context", "RM", "Remove contexts"),
    "swarm init": (C + "swarm.swarm", "INIT", "Initialize a swarm"),
    "swarm join": (C + "swarm.swarm", "JOIN", "Join a swarm as a node and/or manager"),
    "swarm join-token": (C + "swarm.swarm", "JOIN_TOKEN", "Manage join tokens"),
    "swarm leave": (C + "swarm.swarm", "LEAVE", "Leave the swarm"),
    "swarm update": (C + "swarm.swarm", "UPDATE", "Update the swarm"),
    "swarm unlock": (C + "swarm.swarm", "UNLOCK", "Unlock swarm"),
    "swarm unlock-key": (C + "swarm.swarm", "UNLOCK_KEY", "Manage the unlock key"),
    "swarm ca": (C + "swarm.ca", "CA", "Display and rotate the root CA"),
    "node ls": (C + "swarm.node", "LS", "List nodes in the swarm"),
    "node inspect": (C + "swarm.node", "INSPECT", "Show everything about nodes"),
    "node ps": (C + "swarm.node", "PS", "List tasks running on one or more nodes, defaults to current node"),
    "node update": (C + "swarm.node", "UPDATE", "Update a node"),
    "node promote": (C + "swarm.node", "PROMOTE", "Promote one or more nodes to manager in the swarm"),
    "node demote": (C + "swarm.node", "DEMOTE", "Demote one or more nodes from manager in the swarm"),
    "node rm": (C + "swarm.node", "RM", "Remove one or more nodes from the swarm"),
    "service create": (C + "service.create", "CREATE", "Create a new service"),
    "service update": (C + "service.create", "UPDATE", "Update a service"),
    "service scale": (C + "service.create", "SCALE", "Scale one or multiple replicated services"),
    "service rollback": (C + "service.create", "ROLLBACK", "Revert changes to a service's configuration"),
    "service rm": (C + "service.create", "RM", "Remove one or more services"),
    "service rebalance": (C + "service.create", "REBALANCE", "Spread the tasks of services over the nodes again"),
    "service ls": (C + "service.ls", "LS", "List services"),
    "service ps": (C + "service.ls", "PS", "List the tasks of one or more services"),
    "service inspect": (C + "service.ls", "INSPECT", "Show everything about services"),
    "service logs": (C + "service.logs", "LOGS", "Fetch the logs of a service or task"),
    "secret create": (C + "swarm.objects", "SECRET_CREATE", "Create a secret from a file or STDIN as content"),
    "secret ls": (C + "swarm.objects", "SECRET_LS", "List secrets"),
    "secret inspect": (C + "swarm.objects", "SECRET_INSPECT", "Show everything about secrets"),
    "secret rm": (C + "swarm.objects", "SECRET_RM", "Remove one or more secrets"),
    "config create": (C + "swarm.objects", "CONFIG_CREATE", "Create a config from a file or STDIN"),
    "config ls": (C + "swarm.objects", "CONFIG_LS", "List configs"),
    "config inspect": (C + "swarm.objects", "CONFIG_INSPECT", "Show everything about configs"),
    "config rm": (C + "swarm.objects", "CONFIG_RM", "Remove one or more configs"),
    "stack deploy": ("scow.compose.stack.deploy", "DEPLOY", "Deploy a new stack or update an existing stack"),
    "stack rm": ("scow.compose.stack.deploy", "RM", "Remove one or more stacks"),
    "stack config": ("scow.compose.stack.deploy", "CONFIG", "Print the final config file, after doing merges and interpolations"),
    "stack diff": ("scow.compose.stack.deploy", "DIFF", "Show what a deployment would change"),
    "stack ls": ("scow.compose.stack.looking", "LS", "List stacks"),
    "stack ps": ("scow.compose.stack.looking", "PS", "List the tasks in the stack"),
    "stack services": ("scow.compose.stack.looking", "SERVICES", "List the services in the stack"),
    "completion": (C + "system.completion", "COMPLETION", "Print the completion script of a shell"),
    "version": (C + "system.info", "VERSION", "Show the versions of client and engine"),
    "inspect": (C + "system.inspect", "ANY", "Show everything about objects of any kind"),
}

GROUPS: dict[str, str] = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "volume": "Manage volumes",
    "system": "Manage the engine",
    "context": "Manage contexts",
    "builder": "Manage builds",
    "buildx": "Build with BuildKit",
    "checkpoint": "Manage checkpoints",
    "compose": "Run applications of several containers",
    "config": "Manage swarm configs",
    "manifest": "Manage image manifests",
    "node": "Manage swarm nodes",
    "plugin": "Manage plugins",
    "registry": "Run a registry server",
    "secret": "Manage swarm secrets",
    "service": "Manage swarm services",
    "stack": "Manage swarm stacks",
    "swarm": "Manage the swarm",
    "trust": "Manage trust on images",
}

# words a user may type for a command of the table
ALIASES: dict[str, str] = {
    **{
        verb: f"container {verb}"
        for verb in (
            "attach",
            "commit",
            "cp",
            "create",
            "diff",
            "exec",
            "export",
            "kill",
            "logs",
            "pause",
            "port",
            "rename",
            "restart",
            "rm",
            "run",
            "start",
            "stats",
            "stop",
            "top",
            "unpause",
            "update",
            "wait",
        )
    },
    **{verb: f"image {verb}" for verb in ("history", "import", "load", "save", "tag", "build", "pull", "push")},
    "ps": "container ls",
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "images": "image ls",
    "image list": "image ls",
    "rmi": "image rm",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "plugin list": "plugin ls",
    "plugin remove": "plugin rm",
    "checkpoint list": "checkpoint ls",
    "checkpoint remove": "checkpoint rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
    "events": "system events",
    "info": "system info",
    "context list": "context ls",
    "context remove": "context rm",
    "builder build": "image build",
    "stack up": "stack deploy",
    "stack down": "stack rm",
    **{f"{noun} list": f"{noun} ls" for noun in ("node", "service", "secret", "config", "stack")},
    **{f"{noun} remove": f"{noun} rm" for noun in ("node", "service", "secret", "config", "stack")},
}

# docker's command line leaves these to the plugin buildx, where there is one; this one when it is asked to
BUILDS = frozenset({"image build"})
# known to docker's command line, not yet to this one; a later issue brings each
NOT_YET = frozenset(
    {
        "bake",
        "buildx",
        "trust",
    }
)
NOT_YET_SHORT = {
    "build": "Build an image from a Dockerfile",
}
# groups that docker's command line leaves to plugins: such a plugin is no rival of ours
OF_PLUGINS = frozenset({"buildx", "compose"})
SWARM = ("config", "node", "secret", "service", "stack", "swarm")
COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")
GLOBAL_FLAGS: tuple[Flag, ...] = (
    ("config", "", "string", "", "Directory of the configuration files"),
    ("context", "c", "string", "", "Name of the context to use"),
    ("debug", "D", "bool", False, "Show more about errors"),
    ("host", "H", "list", (), "Daemon to talk to: unix://PATH, tcp://HOST:PORT, ssh://USER@HOST"),
    ("log-level", "l", "string", "info", 'Least level to log ("debug", "info", "warn", "error", "fatal")'),
    ("tls", "", "bool", False, "Use TLS"),
    ("tlscacert", "", "string", "", "Trust only this authority"),
    ("tlscert", "", "string", "", "Own TLS certificate"),
    ("tlskey", "", "string", "", "Own TLS key"),
    ("tlsverify", "", "bool", False, "Use TLS and check the daemon's certificate"),
    ("version", "v", "bool", False, "Print the version and quit"),
)


def find(words: list[str]) -> tuple[str, list[str]]:
    """The table's name of the command that `words` starts with, and the words after it; "" when there is none."""
    for count in (2, 1):
        if len(words) < count or any(word.startswith("-") for word in words[:count]):
            continue
        name = " ".join(words[:count])
        name = ALIASES.get(name, name)
        if name in COMMANDS or (name in NOT_YET and (count == 2 or name not in GROUPS)):
            return name, words[count:]
    return "", words


def load(name: str) -> Command:
    """The Command object of a table entry."""
    module, attribute, _ = COMMANDS[name]
    loaded = __import__(module, fromlist=[attribute])
    command: Command = getattr(loaded, attribute)
    return command
