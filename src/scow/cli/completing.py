"""What could come next on a command line: the answer to `scow __complete WORDS`, which the shells' scripts ask for.

The last word is the one being typed. Answers are lines `word<TAB>description`, then `:0` (files may follow) or `:4` (nothing else
may): the protocol of docker's own completion, so that plugins are asked the same way. Never fails: no answer is an answer.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli, Command
    from scow.cli.flags import Flag

    Words = list[tuple[str, str]]

from scow.cli.table import ALIASES, COMMANDS, GLOBAL_FLAGS, GROUPS, NOT_YET, NOT_YET_SHORT, find, load
from scow.errors import ScowError

FILES, NO_FILES = 0, 4
MAX_WORDS = 2000

# what the arguments of a command are
_RUNNING = ("attach", "exec", "kill", "pause", "port", "restart", "stats", "stop", "top", "unpause", "wait")
_ANY = ("commit", "diff", "export", "inspect", "logs", "rename", "rm", "start", "update", "cp")
_FLAG_VALUES: dict[str, tuple[str, ...]] = {
    "restart": ("always", "no", "on-failure", "unless-stopped"),
    "pull": ("always", "missing", "never"),
    "log-level": ("debug", "error", "fatal", "info", "warn"),
    "ipc": ("container:", "host", "none", "private", "shareable"),
    "pid": ("container:", "host"),
    "uts": ("host",),
    "userns": ("host",),
    "cgroupns": ("host", "private"),
    "attach": ("stdin", "stdout", "stderr"),
    "signal": ("SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGTERM", "SIGUSR1", "SIGUSR2"),
    "stop-signal": ("SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1"),
    "log-driver": ("fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"),
    "type": ("config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"),
    "security-opt": ("apparmor=", "label=", "no-new-privileges", "seccomp=", "systempaths=unconfined"),
    "cap-add": ("ALL", "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "SYS_TIME"),
    "cap-drop": ("ALL", "CHOWN", "KILL", "MKNOD", "NET_RAW", "SETGID", "SETUID"),
    "format": ("json", "table"),
    "availability": ("active", "drain", "pause"),
    "role": ("manager", "worker"),
    "endpoint-mode": ("dnsrr", "vip"),
    "mode": ("global", "global-job", "replicated", "replicated-job"),
    "restart-condition": ("any", "none", "on-failure"),
    "update-order": ("start-first", "stop-first"),
    "rollback-order": ("start-first", "stop-first"),
    "update-failure-action": ("continue", "pause", "rollback"),
    "rollback-failure-action": ("continue", "pause"),
    "resolve-image": ("always", "changed", "never"),
}
_FILE_FLAGS = frozenset(
    {
        "compose-file",
        "ca-cert",
        "ca-key",
        "env-file",
        "label-file",
        "cidfile",
        "input",
        "output",
        "file",
        "volume",
        "config",
        "tlscacert",
        "tlscert",
        "tlskey",
    }
)


def run(cli: Cli, words: list[str], described: bool = True) -> int:
    """Prints the candidates for the last of `words`."""
    try:
        found, directive = candidates(cli, words or [""])
    except (ScowError, OSError, ValueError):
        found, directive = [], NO_FILES
    typed = words[-1] if words else ""
    lines = [f"{word}\t{text}\n" if text and described else f"{word}\n" for word, text in found if word.startswith(typed)]
    cli.out("".join(lines) + f":{directive}\n")
    return 0


def candidates(cli: Cli, words: list[str]) -> tuple[Words, int]:
    """(word, description) pairs for the place of the last word, and whether files may stand there too."""
    before, typed = words[:-1], words[-1]
    skipped = skip_globals(before, GLOBAL_FLAGS)
    if skipped < 0:
        return _value(cli, awaiting(before, GLOBAL_FLAGS), typed)
    line = before[skipped:]
    if not line:
        return (flag_words(GLOBAL_FLAGS), NO_FILES) if typed.startswith("-") else (_top(cli), NO_FILES)
    if line[0] == "help":
        line = line[1:]
        if not line:
            return _top(cli), NO_FILES
    if line[0] == "compose":
        found: tuple[Words, int] = __import__("scow.compose.commands.completing", fromlist=["candidates"]).candidates(
            cli, [*line[1:], typed]
        )
        return found
    name, rest = find(line)
    if not name and line[0] in GROUPS and line[0] not in NOT_YET and len(line) == 1:
        return _group(line[0]), NO_FILES
    if not name or name in NOT_YET:
        return _of_plugin(cli, [*line, typed])
    return _of_command(cli, name, load(name), rest, typed)


def skip_globals(before: list[str], flags: tuple[Flag, ...]) -> int:
    """Where the command starts; -1 where the last word is a flag that waits for its value."""
    at = 0
    while at < len(before) and before[at].startswith("-"):
        flag = _flag(before[at], flags)
        if flag is not None and flag[2] != "bool" and "=" not in before[at]:
            at += 1
            if at == len(before):
                return -1
        at += 1
    return at


def _flag(word: str, flags: tuple[Flag, ...]) -> Flag | None:
    name = word.lstrip("-").partition("=")[0]
    for flag in flags:
        if (word.startswith("--") and flag[0] == name) or (not word.startswith("--") and name and flag[1] == name[-1]):
            return flag
    return None


def awaiting(before: list[str], flags: tuple[Flag, ...]) -> str:
    """The flag whose value comes next, "" for none."""
    if not before or not before[-1].startswith("-") or "=" in before[-1] or len(before[-1]) < 2:
        return ""
    flag = _flag(before[-1], flags)
    return flag[0] if flag is not None and flag[2] != "bool" else ""


def flag_words(flags: tuple[Flag, ...]) -> Words:
    """The flags as candidates."""
    return sorted((f"--{name}", text.partition("\n")[0]) for name, _, _, _, text in flags if text)


def _top(cli: Cli) -> Words:
    from scow.cli.plugins import installed

    found = {words: entry[2] for words, entry in COMMANDS.items() if " " not in words and entry[2]}
    found.update({word: COMMANDS[target][2] for word, target in ALIASES.items() if " " not in word and target in COMMANDS})
    found.update({word: text for word, text in GROUPS.items() if word not in NOT_YET})
    plugins = installed(cli)
    found.update({name: found.get(name) or GROUPS.get(name, "A plugin of docker's command line") for name in plugins})
    if "buildx" in plugins:
        found.update({"build": NOT_YET_SHORT.get("build", "Build an image from a Dockerfile"), "bake": "Build from a file"})
    return sorted(found.items())


def _group(name: str) -> Words:
    return sorted((words.split(" ")[1], entry[2]) for words, entry in COMMANDS.items() if words.startswith(name + " ") and entry[2])


def _of_plugin(cli: Cli, words: list[str]) -> tuple[Words, int]:
    from scow.cli import plugins
    from scow.cli.environment import env, program

    wanted = plugins.redirected(words, env, cli.config.get("aliases"))
    path = plugins.find(cli, wanted[0])
    if path and len(words) > 1:
        plugins.run(cli, path, ["__complete", *wanted], program())
    return [], FILES


def _of_command(cli: Cli, name: str, command: Command, before: list[str], typed: str) -> tuple[Words, int]:
    waiting = awaiting(before, command.flags)
    if waiting:
        return _value(cli, waiting, typed)
    args = positional(before, command.flags)
    closed = "--" in before or (not command.interspersed and bool(args))
    if typed.startswith("-") and not closed:
        name_part, sep, value = typed.partition("=")
        flag = _flag(name_part, command.flags) if sep and typed.startswith("--") else None
        if flag is not None:
            found, directive = _value(cli, flag[0], value)
            return [(f"{name_part}={word}", text) for word, text in found], directive
        return flag_words(command.flags), NO_FILES
    if command.most >= 0 and len(args) >= command.most:
        return [], NO_FILES
    return _arguments(cli, name, args, typed)


def positional(before: list[str], flags: tuple[Flag, ...]) -> list[str]:
    """The words that are neither flags nor their values."""
    found: list[str] = []
    at = 0
    while at < len(before):
        word = before[at]
        if word == "--":
            return found + before[at + 1 :]
        if word.startswith("-") and len(word) > 1:
            flag = _flag(word, flags)
            at += 1 + (flag is not None and flag[2] != "bool" and "=" not in word)
            continue
        found.append(word)
        at += 1
    return found


def _arguments(cli: Cli, name: str, args: list[str], typed: str) -> tuple[Words, int]:
    group, _, verb = name.partition(" ")
    if name in ("container run", "container create"):
        return (_images(cli), NO_FILES) if not args else ([], FILES)
    if name == "container cp":
        return ([], FILES) if typed.startswith(("/", ".")) else ([(f"{one}:", "") for one in _containers(cli, True)], FILES)
    if group == "container" and verb in (*_RUNNING, *_ANY):
        if args and verb in ("exec", "top", "commit"):
            return [], FILES if verb == "exec" else NO_FILES
        return [(one, "") for one in _containers(cli, verb in _ANY) if one not in args], NO_FILES
    if name == "image bootstrap":
        return [] if args else [("busybox", "a shell and its tools"), ("debian", "a minimal Debian of this machine's release")], NO_FILES
    if name in ("image load", "image import"):
        return [], FILES
    if group == "image" and verb in ("history", "inspect", "rm", "save", "tag", "push"):
        return [one for one in _images(cli) if one[0] not in args], NO_FILES
    if group == "network" and verb in ("connect", "disconnect", "inspect", "rm"):
        if args and verb in ("connect", "disconnect"):
            return [(one, "") for one in _containers(cli, True)], NO_FILES
        return [(one, "") for one in _networks(cli) if one not in args], NO_FILES
    if group == "volume" and verb in ("export", "import"):
        return ([(one, "") for one in _volumes(cli)], NO_FILES) if not args else ([], FILES if verb == "import" else NO_FILES)
    if group == "volume" and verb in ("inspect", "rm", "update"):
        return [(one, "") for one in _volumes(cli) if one not in args], NO_FILES
    if group == "plugin" and verb in ("disable", "enable", "inspect", "push", "rm", "set", "upgrade"):
        found = [str(one.get("Name")) for one in cli.client.get("/plugins") or []]
        return [(one, "") for one in sorted(found) if one not in args and not (args and verb != "rm")], NO_FILES
    if group in ("node", "service", "secret", "config", "stack", "swarm"):
        return _of_swarm(cli, group, verb, args)
    if group == "checkpoint":
        return ([(one, "") for one in _containers(cli, True)] if not args else []), NO_FILES
    if group == "context" and verb in ("use", "inspect", "rm", "export", "update"):
        return [(one, "") for one in _contexts(cli) if one not in args], FILES if args and verb == "export" else NO_FILES
    if name == "context import":
        return [], FILES if args else NO_FILES
    if name == "inspect":
        every = [*_containers(cli, True), *(one for one, _ in _images(cli)), *_networks(cli), *_volumes(cli)]
        return [(one, "") for one in every if one not in args], NO_FILES
    if name == "completion":
        return [(shell, "") for shell in ("bash", "fish", "zsh")], NO_FILES
    return [], NO_FILES


def _of_swarm(cli: Cli, group: str, verb: str, args: list[str]) -> tuple[Words, int]:
    """Arguments of commands of a swarm: names of its objects, images of new services, files of secrets and configs."""
    if group == "swarm":
        return ([("manager", ""), ("worker", "")] if verb == "join-token" and not args else []), NO_FILES
    if verb == "create":
        if group == "service":
            return (_images(cli), NO_FILES) if not args else ([], FILES)
        return [], FILES if args else NO_FILES
    if verb in ("ls", "config") or (args and verb in ("update", "logs", "rollback", "deploy", "diff", "services")):
        return [], NO_FILES
    if group == "stack":
        label = "com.docker.stack.namespace"
        found = cli.client.get("/services") or []
        names = {((one.get("Spec") or {}).get("Labels") or {}).get(label) for one in found[:MAX_WORDS]} - {None}
    elif group == "node":
        found = cli.client.get("/nodes") or []
        names = {(one.get("Description") or {}).get("Hostname") or one["ID"] for one in found[:MAX_WORDS]}
        names |= {"self"} if verb in ("inspect", "ps") else set()
    else:
        names = {(one.get("Spec") or {}).get("Name") for one in (cli.client.get(f"/{group}s") or [])[:MAX_WORDS]} - {None}
    end = "=" if (group, verb) == ("service", "scale") else ""
    return [(f"{one}{end}", "") for one in sorted(map(str, names)) if one not in args], NO_FILES


def _value(cli: Cli, flag: str, typed: str) -> tuple[Words, int]:
    if flag in _FILE_FLAGS:
        volumes = [(f"{one}:", "a volume") for one in _volumes(cli)] if flag == "volume" and not typed.startswith(("/", ".")) else []
        return volumes, FILES
    if flag in ("network", "net"):
        return [(one, "") for one in _networks(cli)], NO_FILES
    if flag in ("volumes-from", "link"):
        return [(one, "") for one in _containers(cli, True)], NO_FILES
    if flag == "context" or flag == "from":
        return [(one, "") for one in _contexts(cli)], NO_FILES
    return [(one, "") for one in _FLAG_VALUES.get(flag, ())], NO_FILES


def _containers(cli: Cli, stopped: bool) -> list[str]:
    found = []
    for one in (cli.client.get("/containers/json", {"all": stopped}) or [])[:MAX_WORDS]:
        found += [name.removeprefix("/") for name in one.get("Names") or [] if name.count("/") == 1][:1] or [one["Id"][:12]]
    return sorted(found)


def _images(cli: Cli) -> Words:
    found = set()
    for one in (cli.client.get("/images/json") or [])[:MAX_WORDS]:
        for tag in one.get("RepoTags") or []:
            if tag != "<none>:<none>":
                found.add(tag)
                if tag.endswith(":latest"):
                    found.add(tag.removesuffix(":latest"))
    return [(tag, "") for tag in sorted(found)]


def _networks(cli: Cli) -> list[str]:
    return sorted(one["Name"] for one in (cli.client.get("/networks") or [])[:MAX_WORDS])


def _volumes(cli: Cli) -> list[str]:
    return sorted(one["Name"] for one in ((cli.client.get("/volumes") or {}).get("Volumes") or [])[:MAX_WORDS])


def _contexts(cli: Cli) -> list[str]:
    from scow.cli.contexts import names

    return sorted(["default", *names(cli.config_dir)])
