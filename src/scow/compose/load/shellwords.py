"""The words of a command line that is written as one text (`command: sh -c "echo hi"`): the compose plugin's grammar, which is not quite a
shell's: what follows an operator (`;`, `&`, `|`, `<`, `>`) outside quotes is left out, as there."""

from __future__ import annotations

INVALID = "invalid command line string"


def split(text: str) -> list[str]:
    """The words. Raises ValueError."""
    words: list[str] = []
    word: list[str] = []
    got = escaped = single = double = back = dollar = False
    for char in text:
        if escaped:
            word.append({"t": "\t", "n": "\n"}.get(char, char))
            escaped, got = False, True
            continue
        if char == "\\":
            if single:
                word.append(char)
            else:
                escaped = True
            continue
        if char in " \t\r\n":
            if single or double or back or dollar:
                word.append(char)
            elif got:
                words.append("".join(word))
                word, got = [], False
            continue
        if char == "`" and not (single or double or dollar):
            back = not back
        elif char == ")" and not (single or double or back):
            dollar = not dollar
        elif char == "(" and not (single or double or back):
            if dollar or not word or word[-1] != "$":
                raise ValueError(INVALID)
            dollar = True
        elif char == '"' and not (single or dollar):
            got = got or double
            double = not double
            continue
        elif char == "'" and not (double or dollar):
            got = got or single
            single = not single
            continue
        elif char in ";&|<>" and not (single or double or back or dollar):
            if char == ">" and word and word[0].isdigit():
                got = False
            break
        got = True
        word.append(char)
    if got:
        words.append("".join(word))
    if escaped or single or double or back or dollar:
        raise ValueError(INVALID)
    return words
