"""The command table: every command by its full words, with the module that holds it. Modules are imported when their command runs."""

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
    "image history": (C + "image.ls", "HISTORY_COMMAND", "Show how an image was made"),
    "image import": (C + "image.archive", "IMPORT", "Make an image of a file system archive"),
    "image inspect": (C + "system.inspect", "IMAGE", "Show everything about images"),
    "image load": (C + "image.archive", "LOAD", "Load images from an archive or standard input"),
    "image ls": (C + "image.ls", "LS", "List images"),
    "image prune": (C + "system.prune", "IMAGE", "Remove unused images"),
    "image rm": (C + "image.rm", "RM", "Remove images"),
    "image save": (C + "image.archive", "SAVE", "Write images to an archive or standard output"),
    "image tag": (C + "image.rm", "TAG", "Give an image another name"),
    "network connect": (C + "network.connect", "CONNECT", "Connect a container to a network"),
    "network create": (C + "network.create", "CREATE", "Create a network"),
    "network disconnect": (C + "network.connect", "DISCONNECT", "Disconnect a container from a network"),
    "network inspect": (C + "system.inspect", "NETWORK", "Show everything about networks"),
    "network ls": (C + "network.ls", "LS", "List networks"),
    "network prune": (C + "system.prune", "NETWORK", "Remove all unused networks"),
    "network rm": (C + "network.ls", "RM", "Remove networks"),
    "volume create": (C + "volume.volume", "CREATE", "Create a volume"),
    "volume inspect": (C + "system.inspect", "VOLUME", "Show everything about volumes"),
    "volume ls": (C + "volume.volume", "LS", "List volumes"),
    "volume prune": (C + "system.prune", "VOLUME", "Remove unused local volumes"),
    "volume rm": (C + "volume.volume", "RM", "Remove volumes"),
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
    "context rm": (C + "context.context", "RM", "Remove contexts"),
    "version": (C + "system.info", "VERSION", "Show the versions of client and engine"),
    "inspect": (C + "system.inspect", "ANY", "Show everything about objects of any kind"),
}

GROUPS: dict[str, str] = {
    "container": "Manage containers", "image": "Manage images", "network": "Manage networks", "volume": "Manage volumes",
    "system": "Manage the engine", "context": "Manage contexts",
    "builder": "Manage builds", "buildx": "Build with BuildKit", "checkpoint": "Manage checkpoints", "compose": "Run applications of several containers",
    "config": "Manage swarm configs", "manifest": "Manage image manifests", "node": "Manage swarm nodes", "plugin": "Manage plugins",
    "secret": "Manage swarm secrets", "service": "Manage swarm services", "stack": "Manage swarm stacks", "swarm": "Manage the swarm",
    "trust": "Manage trust on images",
}

# words a user may type for a command of the table
ALIASES: dict[str, str] = {
    **{verb: f"container {verb}" for verb in (
        "attach", "commit", "cp", "create", "diff", "exec", "export", "kill", "logs", "pause", "port", "rename", "restart", "rm", "run",
        "start", "stats", "stop", "top", "unpause", "update", "wait")},
    **{verb: f"image {verb}" for verb in ("history", "import", "load", "save", "tag", "build", "pull", "push")},
    "ps": "container ls", "container list": "container ls", "container ps": "container ls", "container remove": "container rm",
    "images": "image ls", "image list": "image ls", "rmi": "image rm", "image remove": "image rm",
    "network list": "network ls", "network remove": "network rm", "volume list": "volume ls", "volume remove": "volume rm",
    "events": "system events", "info": "system info", "context list": "context ls", "context remove": "context rm", "builder build": "image build",
}

# known to docker's command line, not yet to this one; a later issue brings each
NOT_YET = frozenset({
    "image build", "image pull", "image push", "login", "logout", "search", "bake", "volume update",
    "context export", "context import", "context update", "builder prune",
    "builder", "buildx", "checkpoint", "compose", "config", "manifest", "node", "plugin", "secret", "service", "stack", "swarm", "trust",
})
NOT_YET_SHORT = {
    "build": "Build an image from a Dockerfile", "pull": "Fetch an image from a registry", "push": "Send an image to a registry",
    "login": "Log in to a registry", "logout": "Log out from a registry", "search": "Search a registry for images",
}
COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")
