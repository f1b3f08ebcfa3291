"""The help texts, made from the command table."""

from scow.cli import flags
from scow.cli.command import Command
from scow.cli.table import ALIASES, COMMANDS, COMMON, GROUPS, NOT_YET, NOT_YET_SHORT


def _short(word: str) -> str:
    name = ALIASES.get(word, word)
    return COMMANDS[name][2] if name in COMMANDS else NOT_YET_SHORT.get(word, "") + " (not supported yet)"


def _rows(pairs: list[tuple[str, str]]) -> str:
    width = max((len(word) for word, _ in pairs), default=0) + 3
    return "".join(f"  {word:<{width}}{text}\n" for word, text in pairs)


def overview() -> str:
    """`scow --help`."""
    from scow.cli.main import GLOBAL_FLAGS

    groups = sorted((name, text + (" (not supported yet)" if name in NOT_YET else "")) for name, text in GROUPS.items())
    others = sorted({word for word in ALIASES if " " not in word} - set(COMMON) | {"inspect"})
    return (
        "Usage:  scow [OPTIONS] COMMAND\n\nRuns containers: a client of Scow and of every engine that speaks Docker\n\nCommon Commands:\n"
        + _rows([(word, _short(word)) for word in COMMON])
        + "\nManagement Commands:\n"
        + _rows(groups)
        + "\nCommands:\n"
        + _rows([(word, _short(word)) for word in others])
        + "\nGlobal Options:\n"
        + flags.describe(GLOBAL_FLAGS)
        + "\nRun 'scow COMMAND --help' for more information on a command.\n"
    )


def group(name: str) -> str:
    """`scow container --help`."""
    rows = [(words.split(" ")[1], entry[2]) for words, entry in COMMANDS.items() if words.startswith(name + " ") and entry[2]]
    return (
        f"Usage:  scow {name} COMMAND\n\n{GROUPS[name]}\n\nCommands:\n{_rows(rows)}\n"
        f"Run 'scow {name} COMMAND --help' for more information on a command.\n"
    )


def command(spec: Command, name: str, usage: str) -> str:
    """`scow ps --help`."""
    also = [name, *sorted(words for words, target in ALIASES.items() if target == name)]
    text = f"{usage}\n\n{spec.short}\n"
    if len(also) > 1:
        text += "\nAliases:\n  " + ", ".join(f"scow {words}" for words in sorted(also, key=lambda words: (-words.count(" "), words))) + "\n"
    options = flags.describe(spec.flags)
    return text + (f"\nOptions:\n{options}" if options else "")
