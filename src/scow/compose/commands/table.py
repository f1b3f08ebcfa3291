"""The verbs of `scow compose`: name -> (module, name in it, one line). Modules are imported when their verb runs."""

from __future__ import annotations

M = "scow.compose.commands."

VERBS: dict[str, tuple[str, str, str]] = {
    "attach": (M + "attach", "ATTACH", "Join the streams of a service's running container"),
    "build": (M + "images", "BUILD", "Build the images of services"),
    "commit": (M + "containers", "COMMIT", "Make an image of a service container's changes"),
    "config": (M + "config", "CONFIG", "Check the files and print them in one canonical form"),
    "cp": (M + "containers", "CP", "Copy files between a service's container and this machine"),
    "create": (M + "up", "CREATE", "Create the containers of services without starting them"),
    "diff": (M + "up", "DIFF", "Show what `up` would do, and why"),
    "down": (M + "down", "DOWN", "Stop and remove containers and networks"),
    "events": (M + "events", "EVENTS", "Show events of the project's containers as they happen"),
    "exec": (M + "exec", "EXEC", "Run a command in a running container"),
    "export": (M + "containers", "EXPORT", "Write the files of a service's container as a tar archive"),
    "images": (M + "lists", "IMAGES", "List the images that the containers use"),
    "kill": (M + "lifecycle", "KILL", "Send a signal to the services' containers"),
    "logs": (M + "logs", "LOGS", "Show the output of containers"),
    "ls": (M + "lists", "LS", "List projects"),
    "pause": (M + "lifecycle", "PAUSE", "Freeze all processes of services"),
    "port": (M + "lists", "PORT", "Show where a port is published"),
    "ps": (M + "ps", "PS", "List containers"),
    "publish": (M + "publish", "PUBLISH", "Publish the application to a registry"),
    "pull": (M + "images", "PULL", "Fetch the images of services"),
    "push": (M + "images", "PUSH", "Send the images of services to their registries"),
    "restart": (M + "lifecycle", "RESTART", "Stop and start the services' containers"),
    "rm": (M + "lifecycle", "RM", "Remove stopped containers of services"),
    "run": (M + "run", "RUN", "Run a command once in a new container of a service"),
    "scale": (M + "up", "SCALE", "Change how many containers services have"),
    "start": (M + "lifecycle", "START", "Start the services' containers"),
    "stats": (M + "lists", "STATS", "Show what containers use, live"),
    "stop": (M + "lifecycle", "STOP", "Stop the services' containers"),
    "top": (M + "lists", "TOP", "Show the processes of containers"),
    "unpause": (M + "lifecycle", "UNPAUSE", "Thaw all processes of services"),
    "up": (M + "up", "UP", "Create and start containers"),
    "version": (M + "version", "VERSION", "Show the version"),
    "volumes": (M + "lists", "VOLUMES", "List the volumes of the project"),
    "wait": (M + "wait", "WAIT", "Wait until a service's container stops"),
    "watch": (M + "watch", "WATCH", "Follow changes of source files into the containers"),
}
# words that mean the same; and what other versions of the plugin have and this program can't do
ALIASES = {"convert": "config"}
UNSUPPORTED = {
    "alpha": "the experimental commands of docker's plugin are not part of this program: SCOW_COMPOSE=plugin runs the plugin",
    "bridge": "models for other platforms are not part of this program: SCOW_COMPOSE=plugin runs the plugin",
}

GLOBALS: tuple[tuple[str, str, str, object, str], ...] = (
    ("all-resources", "", "bool", False, "Keep networks and volumes that no service uses"),
    ("ansi", "", "string", "", 'When to write control characters ("never", "always", "auto")'),
    ("compatibility", "", "bool", False, "Name containers with underscores, as version 1 did"),
    ("dry-run", "", "bool", False, "Say what would be done"),
    ("env-file", "", "stringArray", (), "Files of variables to use in place of .env"),
    ("file", "f", "stringArray", (), "Compose files"),
    ("insecure-registry", "", "stringArray", (), ""),
    ("no-ansi", "", "bool", False, ""),
    ("parallel", "", "int", -1, "How many operations may run at once, -1 for as many as are useful"),
    ("profile", "", "stringArray", (), "Profiles to turn on"),
    ("progress", "", "string", "", "How progress is shown (auto, tty, plain, json, quiet)"),
    ("project-directory", "", "string", "", "Directory of the project (default: that of the first file)"),
    ("project-name", "p", "string", "", "Name of the project"),
    ("verbose", "", "bool", False, ""),
    ("version", "v", "bool", False, ""),
    ("workdir", "", "string", "", ""),
)
DRY_RUN = ("dry-run", "", "bool", False, "Say what would be done")
