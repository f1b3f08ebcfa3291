"""Flags of `service create` and `service update`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.flags import Flag

DETACH: Flag = ("detach", "d", "bool", False, "Don't wait until the service has converged")
QUIET: Flag = ("quiet", "q", "bool", False, "Show no progress")


def _policies(defaults: bool) -> tuple[Flag, ...]:
    """Flags of restart, update and rollback policies; those of create say what holds without them."""

    def say(text: str, default: str) -> str:
        return f"{text} (default {default})" if defaults else text

    found: list[Flag] = [
        ("restart-condition", "", "string", "", say('When tasks are restarted ("none", "on-failure", "any")', '"any"')),
        ("restart-delay", "", "duration", 0, say("Time before a restart (ns|us|ms|s|m|h)", "5s")),
        ("restart-max-attempts", "", "uint", 0, "How often a task is restarted"),
        ("restart-window", "", "duration", 0, "Time over which restarts are counted (ns|us|ms|s|m|h)"),
    ]
    for kind, actions in (("update", '("pause", "continue", "rollback")'), ("rollback", '("pause", "continue")')):
        found += [
            (f"{kind}-delay", "", "duration", 0, say(f"Time between {kind}s of tasks (ns|us|ms|s|m|h)", "0s")),
            (f"{kind}-failure-action", "", "string", "", say(f"What a failed {kind} leads to {actions}", '"pause"')),
            (f"{kind}-max-failure-ratio", "", "float", 0.0, say(f"Share of failing tasks that the {kind} bears", "0")),
            (f"{kind}-monitor", "", "duration", 0, say(f"How long a task is watched after its {kind} (ns|us|ms|s|m|h)", "5s")),
            (f"{kind}-order", "", "string", "", say(f'Order of the {kind} ("start-first", "stop-first")', '"stop-first"')),
            (f"{kind}-parallelism", "", "uint", 0, say("Tasks that are changed at once, 0 for all", "1")),
        ]
    return tuple(found)


def _common(defaults: bool) -> tuple[Flag, ...]:
    return (
        *_policies(defaults),
        DETACH,
        QUIET,
        ("cap-add", "", "list", (), "Add capabilities"),
        ("cap-drop", "", "list", (), "Drop capabilities"),
        ("credential-spec", "", "string", "", "Credentials of a managed account (Windows only)"),
        ("endpoint-mode", "", "string", "vip" if defaults else "", "How the service is reached (vip or dnsrr)"),
        ("entrypoint", "", "command", "", "Replace the image's entry point"),
        ("health-cmd", "", "string", "", "Command that checks health"),
        ("health-interval", "", "duration", 0, "Time between checks (ms|s|m|h)"),
        ("health-retries", "", "int", 0, "Failures in a row that mean unhealthy"),
        ("health-start-interval", "", "duration", 0, "Time between checks during the start period (ms|s|m|h)"),
        ("health-start-period", "", "duration", 0, "Time in which failures don't count (ms|s|m|h)"),
        ("health-timeout", "", "duration", 0, "Longest time of one check (ms|s|m|h)"),
        ("hostname", "", "string", "", "Host name of the containers"),
        ("init", "", "bool", False, "Run an init that forwards signals and reaps processes"),
        ("isolation", "", "string", "", "Isolation of the containers (Windows only)"),
        ("limit-cpu", "", "decimal", 0, "Limit CPUs"),
        ("limit-memory", "", "bytes", 0, "Limit memory"),
        ("limit-pids", "", "int", 0, "Limit processes, 0 for none"),
        ("log-driver", "", "string", "", "Driver of logs"),
        ("log-opt", "", "list", (), "Options of the driver of logs"),
        ("max-concurrent", "", "uint", 0, "Tasks of a job that run at once (default equal to --replicas)"),
        ("no-healthcheck", "", "bool", False, "Don't check health, whatever the image says"),
        ("no-resolve-image", "", "bool", False, "Don't ask the registry for the image's digest and platforms"),
        ("oom-score-adj", "", "int", 0, "Preference of the kernel's out-of-memory killer (-1000 to 1000)"),
        ("read-only", "", "bool", False, "Mount the root file system read-only"),
        ("replicas", "", "uint", 0, "Number of tasks"),
        ("replicas-max-per-node", "", "uint", 0, "Most tasks on one node, 0 for no limit"),
        ("reserve-cpu", "", "decimal", 0, "Reserve CPUs"),
        ("reserve-memory", "", "bytes", 0, "Reserve memory"),
        (
            *("stop-grace-period", "", "duration", 0),
            "Time before a container is killed (ns|us|ms|s|m|h)" + (" (default 10s)" if defaults else ""),
        ),
        ("stop-signal", "", "string", "", "Signal that stops a container"),
        ("tty", "t", "bool", False, "Give a terminal"),
        ("user", "u", "string", "", "User and group (<name|uid>[:<group|gid>])"),
        ("with-registry-auth", "", "bool", False, "Send the registry's credentials to the nodes"),
        ("workdir", "w", "string", "", "Working directory inside the container"),
    )


CREATE: tuple[Flag, ...] = (
    *_common(True),
    ("config", "", "config", (), "Give a config to the service"),
    ("constraint", "", "list", (), "Constrain where tasks run"),
    ("container-label", "", "list", (), "Set a label on the containers"),
    ("dns", "", "list", (), "Name servers"),
    ("dns-option", "", "list", (), "Options of the resolver"),
    ("dns-search", "", "list", (), "Search domains"),
    ("env", "e", "list", (), "Set an environment variable"),
    ("env-file", "", "list", (), "Read environment variables from a file"),
    ("generic-resource", "", "list", (), "Reserve resources of other kinds"),
    ("group", "", "list", (), "Additional groups"),
    ("host", "", "list", (), "Add a line to /etc/hosts (host:ip)"),
    ("label", "l", "list", (), "Set a label on the service"),
    ("mode", "", "string", "replicated", 'Mode of the service ("replicated", "global", "replicated-job", "global-job")'),
    ("mount", "", "mount", (), "Mount a volume, a directory or a tmpfs"),
    ("name", "", "string", "", "Name of the service"),
    ("network", "", "network", (), "Connect to a network"),
    ("placement-pref", "", "pref", (), "Prefer to spread tasks (spread=node.labels.zone)"),
    ("publish", "p", "port", (), "Publish a port on the nodes"),
    ("secret", "", "secret", (), "Give a secret to the service"),
    ("sysctl", "", "list", (), "Set a kernel parameter"),
    ("ulimit", "", "ulimit", (), "Set a limit of resources"),
)
UPDATE: tuple[Flag, ...] = (
    *_common(False),
    ("args", "", "command", "", "Replace the arguments of the command"),
    ("config-add", "", "config", (), "Add or change a config"),
    ("config-rm", "", "list", (), "Remove a config"),
    ("constraint-add", "", "list", (), "Add a constraint"),
    ("constraint-rm", "", "list", (), "Remove a constraint"),
    ("container-label-add", "", "list", (), "Add or change a label of the containers"),
    ("container-label-rm", "", "list", (), "Remove a label of the containers"),
    ("dns-add", "", "list", (), "Add a name server"),
    ("dns-option-add", "", "list", (), "Add an option of the resolver"),
    ("dns-option-rm", "", "list", (), "Remove an option of the resolver"),
    ("dns-rm", "", "list", (), "Remove a name server"),
    ("dns-search-add", "", "list", (), "Add a search domain"),
    ("dns-search-rm", "", "list", (), "Remove a search domain"),
    ("env-add", "", "list", (), "Add or change an environment variable"),
    ("env-rm", "", "list", (), "Remove an environment variable"),
    ("force", "", "bool", False, "Replace the tasks even if nothing changed"),
    ("generic-resource-add", "", "list", (), "Reserve a resource of another kind"),
    ("generic-resource-rm", "", "list", (), "Don't reserve it any longer"),
    ("group-add", "", "list", (), "Add a group"),
    ("group-rm", "", "list", (), "Remove a group"),
    ("host-add", "", "list", (), "Add a line to /etc/hosts (host:ip)"),
    ("host-rm", "", "list", (), "Remove a line of /etc/hosts (host:ip)"),
    ("image", "", "string", "", "Image of the service"),
    ("label-add", "", "list", (), "Add or change a label of the service"),
    ("label-rm", "", "list", (), "Remove a label of the service"),
    ("mount-add", "", "mount", (), "Add or change a mount"),
    ("mount-rm", "", "list", (), "Remove a mount by its target"),
    ("network-add", "", "network", (), "Connect to a network"),
    ("network-rm", "", "list", (), "Disconnect from a network"),
    ("placement-pref-add", "", "pref", (), "Add a preference"),
    ("placement-pref-rm", "", "pref", (), "Remove a preference"),
    ("publish-add", "", "port", (), "Add or change a published port"),
    ("publish-rm", "", "port", (), "Remove a published port by its target"),
    ("rollback", "", "bool", False, "Go back to the previous specification"),
    ("secret-add", "", "secret", (), "Add or change a secret"),
    ("secret-rm", "", "list", (), "Remove a secret"),
    ("sysctl-add", "", "list", (), "Add or change a kernel parameter"),
    ("sysctl-rm", "", "list", (), "Remove a kernel parameter"),
    ("ulimit-add", "", "ulimit", (), "Add or change a limit of resources"),
    ("ulimit-rm", "", "list", (), "Remove a limit of resources"),
)
