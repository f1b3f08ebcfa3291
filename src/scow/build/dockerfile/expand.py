"""Variables and quotes in the words of a Dockerfile: `$v`, `${v}` and its modifiers (checklist A4 of the reference).

Nothing here knows instructions. Patterns of `#`, `%` and `/` know `*`, `?` and the escape character, and are matched in time proportional
to value times pattern, so that no Dockerfile can keep the engine busy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scow.build.dockerfile.errors import DockerfileError
from scow.gotemplate.values import go_quote

MAX_RESULT = 4 << 20  # characters that one word may become: `${a//?/$b}` repeated must not fill the memory
_SPECIAL = frozenset("@*#?-$!0")
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Expanded:
    """What became of a text: whole, as words, and which variables were asked for."""

    text: str
    words: tuple[str, ...]
    used: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


def expand(
    text: str,
    env: Mapping[str, str],
    escape: str = "\\",
    *,
    raw_quotes: bool = False,
    raw_escapes: bool = False,
    keep_quotes: bool = False,
    skip_unset: bool = False,
) -> Expanded:
    """Replace variables and take quotes and escapes off. `raw_quotes`/`raw_escapes` leave those characters in the result, `keep_quotes`
    gives quotes no meaning at all (text of here-documents), `skip_unset` leaves unknown variables as they were written.
    Raises DockerfileError with Docker's texts, without a place."""
    if "$" not in text and "'" not in text and '"' not in text and escape not in text:
        return Expanded(text, tuple(text.split()))
    reader = _Reader(text, env, escape, raw_quotes, raw_escapes, keep_quotes, skip_unset)
    try:
        result, words = reader.until("", raw_escapes)
    except DockerfileError as exc:
        raise DockerfileError(f"failed to process {go_quote(text)}: {exc.reason}") from None
    return Expanded(result, tuple(words), frozenset(reader.used), frozenset(reader.missing))


class _Words:
    """Splits at blanks that were neither quoted nor escaped."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.word: list[str] = []

    def plain(self, text: str) -> None:
        for char in text:
            if char.isspace():
                self.close()
            else:
                self.word.append(char)

    def raw(self, text: str) -> None:
        self.word.append(text)

    def close(self) -> list[str]:
        word = "".join(self.word)
        if word:
            self.done.append(word)
        self.word = []
        return self.done


class _Reader:
    def __init__(
        self, text: str, env: Mapping[str, str], escape: str, raw_quotes: bool, raw_escapes: bool, keep_quotes: bool, skip_unset: bool
    ) -> None:
        self.text, self.env, self.escape = text, env, escape
        self.raw_quotes, self.raw_escapes, self.keep_quotes, self.skip_unset = raw_quotes, raw_escapes, keep_quotes, skip_unset
        self.at = 0
        self.depth = 0
        self.size = 0
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def next(self) -> str:
        char = self.peek()
        self.at += 1 if char else 0
        return char

    def grown(self, text: str) -> str:
        self.size += len(text)
        if self.size > MAX_RESULT:
            raise DockerfileError(f"the expanded text is longer than {MAX_RESULT} characters")
        return text

    def until(self, stop: str, raw_escapes: bool) -> tuple[str, list[str]]:
        """The text up to an unquoted `stop`, or to the end when it is empty."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise DockerfileError("substitutions are nested too deeply")
        before, self.raw_escapes = self.raw_escapes, raw_escapes or self.raw_escapes
        out: list[str] = []
        words = _Words()
        closed = not stop
        while char := self.peek():
            if stop and char == stop:
                self.at += 1
                closed = True
                break
            if char == "$":
                value = self.grown(self.dollar())
                out.append(value)
                words.plain(value)
            elif char in "'\"" and not self.keep_quotes:
                value = self.single() if char == "'" else self.double()
                out.append(value)
                words.raw(value)
            elif char == self.escape:
                self.at += 1
                following = self.next()
                if self.raw_escapes:
                    out.append(char)
                    words.raw(char)
                if following:
                    out.append(following)
                    words.raw(following)
            else:
                self.at += 1
                out.append(char)
                words.plain(char)
        self.raw_escapes = before
        self.depth -= 1
        if not closed:
            raise DockerfileError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(out), words.close()

    def single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            self.at = len(self.text)
            raise DockerfileError("unexpected end of statement while looking for matching single-quote")
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return f"'{inner}'" if self.raw_quotes else inner

    def double(self) -> str:
        self.at += 1
        out = ['"'] if self.raw_quotes else []
        while char := self.peek():
            if char == '"':
                self.at += 1
                if self.raw_quotes:
                    out.append('"')
                return "".join(out)
            if char == "$":
                out.append(self.grown(self.dollar()))
                continue
            self.at += 1
            if char == self.escape:
                following = self.peek()
                if not following:
                    continue
                if following == '"' or following == "$" or following == self.escape:
                    self.at += 1
                    char = char + following if self.raw_escapes else following
            out.append(char)
        raise DockerfileError("unexpected end of statement while looking for matching double-quote")

    def name(self) -> str:
        start = self.at
        first = self.peek()
        if first.isdecimal():
            while self.peek().isdecimal():
                self.at += 1
        elif first and first in _SPECIAL:
            self.at += 1
        else:
            while (char := self.peek()) and (char.isalpha() or char.isdecimal() or char == "_"):
                self.at += 1
        return self.text[start : self.at]

    def lookup(self, name: str) -> str | None:
        value = self.env.get(name)
        (self.missing if value is None else self.used).add(name)
        return value

    def dollar(self) -> str:
        self.at += 1
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            value = self.lookup(name)
            if value is None:
                return "$" + name if self.skip_unset else ""
            return value
        self.at += 1
        if not self.peek():
            raise DockerfileError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        return self.braced(self.name())

    def braced(self, name: str) -> str:
        operator = self.next()
        if operator == "}":
            value = self.lookup(name)
            if value is None:
                return f"${{{name}}}" if self.skip_unset else ""
            return value
        if operator == "/":
            return self.replaced(name)
        modifier = operator
        if operator == ":":
            operator = self.next()
            modifier += operator
            if operator in ("#", "%") or operator not in ("-", "+", "?"):
                raise DockerfileError(f"unsupported modifier ({modifier}) in substitution")
        elif not operator:
            raise DockerfileError("syntax error: missing '}'")
        elif operator not in "+-?#%":
            raise DockerfileError(f"unsupported modifier ({modifier}) in substitution")
        word = self.operand("}", operator in "#%", "}'")
        value = self.env.get(name)
        if value is None and self.skip_unset:
            self.missing.add(name)
            return f"${{{name}{modifier}{word}}}"
        if value is not None:
            self.used.add(name)
        elif operator not in "-+?":
            self.missing.add(name)
        return self.modified(name, value, operator, modifier, word)

    def operand(self, stop: str, raw_escapes: bool, missing: str) -> str:
        try:
            return self.until(stop, raw_escapes)[0]
        except DockerfileError:
            if not self.peek():
                raise DockerfileError(f"syntax error: missing '{missing}") from None
            raise

    def modified(self, name: str, value: str | None, operator: str, modifier: str, word: str) -> str:
        empty = value is None or (modifier[0] == ":" and value == "")
        if operator == "-":
            return word if empty else value or ""
        if operator == "+":
            return "" if empty else word
        if operator == "?":
            if value is None:
                raise DockerfileError(f"{name}: {word or 'is not allowed to be unset'}")
            if empty:
                raise DockerfileError(f"{name}: {word or 'is not allowed to be empty'}")
            return value
        value = value or ""
        longest = word[:1] == operator
        pattern = _tokens(word[1:] if longest else word, self.escape)
        if operator == "#":
            return value[_match(pattern, value, longest) or 0 :]
        end = _match([one[::-1] for one in pattern[::-1]], value[::-1], longest)
        return value[: len(value) - (end or 0)]

    def replaced(self, name: str) -> str:
        every = self.peek() == "/"
        if every:
            self.at += 1
        pattern = self.operand("/", True, "/' in ${")
        replacement = self.operand("}", True, "}'")
        value = self.lookup(name)
        if value is None:
            return f"${{{name}/{'/' if every else ''}{pattern}/{replacement}}}" if self.skip_unset else ""
        tokens = _tokens(pattern, self.escape)
        if tokens == [[]] or len(value) * max(1, len(pattern)) > MAX_RESULT:
            return value
        out: list[str] = []
        at = 0
        while at < len(value):
            end = _match(tokens, value[at:], longest=True)
            if not end:
                out.append(value[at])
                at += 1
                continue
            out.append(self.grown(replacement))
            at += end
            if not every:
                break
        return "".join(out) + value[at:]


_ANY = None  # `?` in a piece of a pattern
_Piece = list[str | None]


def _tokens(pattern: str, escape: str) -> list[_Piece]:
    """Pieces between the `*`s of a pattern, each a list of characters or _ANY."""
    pieces: list[_Piece] = [[]]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            pieces.append([])
        elif char == "?":
            pieces[-1].append(_ANY)
        elif char == escape:
            if at == len(pattern):
                raise DockerfileError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\\\'")
            pieces[-1].append(pattern[at])
            at += 1
        else:
            pieces[-1].append(char)
    return pieces


def _fits(piece: _Piece, value: str, at: int) -> bool:
    return at + len(piece) <= len(value) and all(one is None or one == value[at + index] for index, one in enumerate(piece))


def _match(pieces: list[_Piece], value: str, longest: bool) -> int | None:
    """The end of the shortest or longest match at the start of `value`; None when there is none. Finding every piece as early as possible
    (the last as late as possible for the longest) is exact for patterns of `*` and `?`."""
    if not _fits(pieces[0], value, 0):
        return None
    at = len(pieces[0])
    for index, piece in enumerate(pieces[1:], 1):
        last = index == len(pieces) - 1
        places = range(at, len(value) - len(piece) + 1)
        for place in reversed(places) if longest and last else places:
            if _fits(piece, value, place):
                at = place + len(piece)
                break
        else:
            return None
    return at
