"""The help texts, made from the command table: an overview grouped as docker's, each group, each command with flags and examples."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli, Command

from scow.cli import flags
from scow.cli.table import ALIASES, COMMANDS, COMMON, GLOBAL_FLAGS, GROUPS, NOT_YET, NOT_YET_SHORT, OF_PLUGINS, SWARM

DEFAULT_WIDTH = 80


def width() -> int:
    """Columns to write help in: the terminal's, 80 where there is none."""
    from scow.cli.terminal import size

    columns = size()[1]
    return max(columns, 40) if columns else DEFAULT_WIDTH


def _short(word: str) -> str:
    name = ALIASES.get(word, word)
    return COMMANDS[name][2] if name in COMMANDS else NOT_YET_SHORT.get(word, "") + " (not supported yet)"


def _rows(pairs: list[tuple[str, str]]) -> str:
    widest = max((len(word) for word, _ in pairs), default=0) + 3
    room = width() - widest - 2
    return "".join(f"  {word:<{widest}}{flags.wrap(text, room, widest + 2)}\n" for word, text in pairs)


def overview(cli: Cli | None = None) -> str:
    """`scow --help`; with `cli`, docker's plugins are named too."""
    found, wrong = {}, []
    if cli is not None:
        from scow.cli.plugins import candidates

        for one in candidates(cli):
            if one.get("Err"):
                wrong.append((one["Name"], one["Err"]))
            else:
                found[one["Name"]] = str(one.get("ShortDescription") or "")
    hidden = ("checkpoint",)  # for engines with experimental features only
    groups = {name: text + (" (not supported yet)" if name in NOT_YET else "") for name, text in GROUPS.items() if name not in hidden}
    swarm = {name: groups.pop(name) for name in SWARM if name in groups}
    for name, text in found.items():
        if name in OF_PLUGINS and name not in NOT_YET:
            continue
        if name in NOT_YET or (name not in groups and name not in COMMANDS):
            groups.pop(name, None)
            groups[name + "*"] = text
    others = {word for word in ALIASES if " " not in word} | {words for words in COMMANDS if " " not in words and COMMANDS[words][2]}
    others -= {*COMMON, "build", "pull", "push"}
    common = [word for word in COMMON if ALIASES.get(word, word) in COMMANDS or word in NOT_YET_SHORT]
    return (
        "Usage:  scow [OPTIONS] COMMAND\n\nRuns containers: a client of Scow and of every engine that speaks Docker\n\nCommon Commands:\n"
        + _rows([(word, _short(word)) for word in common])
        + "\nManagement Commands:\n"
        + _rows(sorted(groups.items()))
        + "\nSwarm Commands:\n"
        + _rows(sorted(swarm.items()))
        + "\nCommands:\n"
        + _rows([(word, _short(word)) for word in sorted(others)])
        + (f"\nInvalid Plugins:\n{_rows(wrong)}" if wrong else "")
        + "\nGlobal Options:\n"
        + flags.describe(GLOBAL_FLAGS, width())
        + "\nRun 'scow COMMAND --help' for more information on a command.\n"
    )


def group(name: str) -> str:
    """`scow container --help`."""
    rows = [(words.split(" ")[1], entry[2]) for words, entry in COMMANDS.items() if words.startswith(name + " ") and entry[2]]
    rows += [(words.split(" ")[1], _short(words.split(" ")[1])) for words in NOT_YET if words.startswith(name + " ")]
    return (
        f"Usage:  scow {name} COMMAND\n\n{GROUPS[name]}\n\nCommands:\n{_rows(sorted(rows))}\n"
        f"Run 'scow {name} COMMAND --help' for more information on a command.\n"
    )


def command(spec: Command, name: str, usage: str) -> str:
    """`scow ps --help`."""
    from scow.cli.examples import EXAMPLES

    also = [name, *sorted(words for words, target in ALIASES.items() if target == name)]
    text = f"{usage}\n\n{spec.short}\n"
    if len(also) > 1:
        text += "\nAliases:\n  " + ", ".join(f"scow {words}" for words in sorted(also, key=lambda words: (-words.count(" "), words))) + "\n"
    examples = EXAMPLES.get(name, ())
    if examples:
        text += "\nExamples:\n" + "".join(f"  scow {line}\n" for line in examples)
    options = flags.describe(spec.flags, width())
    return text + (f"\nOptions:\n{options}" if options else "")
