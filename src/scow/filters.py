"""The `filters=` parameter of the list, prune and events endpoints: a JSON object of key → values, read once and asked by the owner of
the list.

Values within a key are alternatives, keys are all required; labels are all required. Regular expressions come from clients, so they
run on an
automaton of bounded size over bounded text (no backtracking): a pattern can be refused, it can not hang the daemon.
"""

import json
from collections.abc import Iterable, Mapping

from scow.errors import InvalidArgument

MAX_TEXT = 64 * 1024
MAX_PATTERN = 256
MAX_STATES = 512
MAX_SUBJECT = 1024
_TRUE = frozenset({"1", "true", "True", "TRUE", "t", "T"})
_FALSE = frozenset({"0", "false", "False", "FALSE", "f", "F"})


class Filters:
    """Parsed filters; an absent key matches everything."""

    __slots__ = ("_compiled", "_values")

    def __init__(self, values: Mapping[str, Iterable[str]] | None = None) -> None:
        self._values: dict[str, frozenset[str]] = {key: frozenset(found) for key, found in (values or {}).items()}
        self._compiled: dict[str, tuple[Pattern, ...]] = {}

    @classmethod
    def parse(cls, text: str | None, accepted: Iterable[str] | None = None) -> "Filters":
        """Reads `{"key": {"value": true}}` or the old `{"key": ["value"]}`. Raises InvalidArgument, also for keys not in `accepted`
        (None: any)."""
        if not text:
            return cls()
        if len(text) > MAX_TEXT:
            raise InvalidArgument("invalid filters: too long")
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidArgument("invalid filter: the filters parameter is no JSON") from None
        if raw is None:
            return cls()
        if not isinstance(raw, dict):
            raise InvalidArgument("invalid filter: the filters parameter must be a JSON object of lists")
        values: dict[str, set[str]] = {}
        allowed = None if accepted is None else frozenset(accepted)
        for key, found in raw.items():
            if allowed is not None and key not in allowed:
                raise InvalidArgument(f"invalid filter '{key}'")
            if isinstance(found, list) and all(isinstance(one, str) for one in found):
                values[key] = set(found)
            elif isinstance(found, dict) and all(isinstance(flag, bool) for flag in found.values()):
                values[key] = {one for one, flag in found.items() if flag}
            elif found is None:
                continue
            else:
                raise InvalidArgument(f"invalid filter '{key}': the values must be a list of strings")
        return cls({key: found for key, found in values.items() if found})

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def keys(self) -> Iterable[str]:
        """The keys given."""
        return self._values.keys()

    def values(self, key: str) -> frozenset[str]:
        """The values of a key, empty when it is absent."""
        return self._values.get(key, frozenset())

    def match(self, key: str, value: str) -> bool:
        """Whether one of the values equals `value` (or the key is absent)."""
        found = self._values.get(key)
        return found is None or value in found

    def match_prefix(self, key: str, value: str) -> bool:
        """Whether `value` starts with one of the values (or the key is absent)."""
        found = self._values.get(key)
        return found is None or any(value.startswith(one) for one in found)

    def match_regex(self, key: str, value: str) -> bool:
        """Whether one of the values is found in `value` as a regular expression, or equals it. Raises InvalidArgument for a pattern
        beyond the bounds."""
        found = self._values.get(key)
        if found is None or value in found:
            return True
        patterns = self._compiled.get(key)
        if patterns is None:
            patterns = self._compiled[key] = tuple(Pattern(one) for one in sorted(found))
        return any(pattern.search(value) for pattern in patterns)

    def match_labels(self, labels: Mapping[str, str] | None, key: str = "label") -> bool:
        """Whether all wanted labels (`name` or `name=value`) are there."""
        have = labels or {}
        for wanted in self._values.get(key, ()):
            name, sep, value = wanted.partition("=")
            if name not in have or (sep and have[name] != value):
                return False
        return True

    def excluded_by_labels(self, labels: Mapping[str, str] | None, key: str = "label!") -> bool:
        """Whether a `label!` filter of prune keeps the object out: all its labels are there."""
        return key in self._values and self.match_labels(labels, key)

    def boolean(self, key: str, default: bool) -> bool:
        """A truth value (`dangling=true`). Raises InvalidArgument for anything else, and for both at once."""
        found = self._values.get(key)
        if found is None:
            return default
        if found <= _TRUE:
            return True
        if found <= _FALSE:
            return False
        raise InvalidArgument(f"invalid filter '{key}=[{' '.join(sorted(found))}]'")


# ---------------------------------------------------------------- bounded regular expressions

_SPLIT, _SET, _BEGIN, _END, _MATCH = range(5)
_CLASSES = {
    "d": [("0", "9")],
    "w": [("0", "9"), ("A", "Z"), ("a", "z"), ("_", "_")],
    "s": [(" ", " "), ("\t", "\r")],
}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_Ranges = list[tuple[str, str]]


class Pattern:
    """A regular expression (literals, `.`, classes, `^ $`, groups, `|`, `* + ? {m,n}`) run without backtracking: time ≤ states × text."""

    __slots__ = ("_at", "_depth", "_literal", "_ops", "_text")

    def __init__(self, text: str) -> None:
        """Raises InvalidArgument for bad syntax or a pattern that is too large."""
        if len(text) > MAX_PATTERN:
            raise InvalidArgument(f"invalid filter: a pattern may have at most {MAX_PATTERN} characters")
        self._text = text
        self._literal = not set(text) & set("^$.[]|()*+?{}\\")
        self._ops: list[tuple[int, object, object]] = []
        if self._literal:
            return
        self._at = 0
        self._depth = 0
        self._alternation()
        if self._at < len(text):
            raise self._bad()
        self._emit(_MATCH, None, None)

    def search(self, subject: str) -> bool:
        """Whether the pattern is found anywhere in `subject` (its first MAX_SUBJECT characters)."""
        subject = subject[:MAX_SUBJECT]
        if self._literal:
            return self._text in subject
        ops = self._ops
        size = len(subject)
        current: set[int] = set()
        for position in range(size + 1):
            stack = [0, *current]
            seen: set[int] = set()
            waiting: list[int] = []
            while stack:
                state = stack.pop()
                if state in seen:
                    continue
                seen.add(state)
                kind, first, second = ops[state]
                if kind == _MATCH:
                    return True
                if kind == _SPLIT:
                    stack.append(first)  # type: ignore[arg-type]
                    if second is not None:
                        stack.append(second)  # type: ignore[arg-type]
                elif kind == _BEGIN:
                    if position == 0:
                        stack.append(state + 1)
                elif kind == _END:
                    if position == size:
                        stack.append(state + 1)
                else:
                    waiting.append(state)
            if position == size:
                return False
            char = subject[position]
            current = set()
            for state in waiting:
                _, ranges, negated = ops[state]
                if any(low <= char <= high for low, high in ranges) is not negated:  # type: ignore[attr-defined]
                    current.add(state + 1)
        return False

    def _bad(self) -> InvalidArgument:
        return InvalidArgument(f"invalid filter: error parsing regexp: {self._text!r}")

    def _emit(self, kind: int, first: object, second: object) -> int:
        if len(self._ops) >= MAX_STATES:
            raise InvalidArgument("invalid filter: the pattern is too large")
        self._ops.append((kind, first, second))
        return len(self._ops) - 1

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _alternation(self) -> None:
        start = len(self._ops)
        ends: list[int] = []
        self._sequence()
        while self._peek() == "|":
            self._at += 1
            self._insert(start)
            ends.append(self._emit(_SPLIT, None, None))
            self._ops[start] = (_SPLIT, start + 1, len(self._ops))
            start = len(self._ops)
            self._sequence()
        for end in ends:
            self._ops[end] = (_SPLIT, len(self._ops), None)

    def _insert(self, at: int) -> None:
        """Opens a slot at `at`; jumps into the moved part move along."""
        self._emit(_SPLIT, None, None)
        moved = self._ops[at:-1]
        self._ops[at + 1 :] = [self._shift(op, at, 1) for op in moved]
        self._ops[at] = (_SPLIT, None, None)

    @staticmethod
    def _shift(op: tuple[int, object, object], at: int, by: int) -> tuple[int, object, object]:
        if op[0] != _SPLIT:
            return op
        first, second = (target + by if isinstance(target, int) and target >= at else target for target in op[1:])
        return (_SPLIT, first, second)

    def _sequence(self) -> None:
        while (char := self._peek()) and char not in "|)":
            self._repeat()

    def _repeat(self) -> None:
        start = len(self._ops)
        self._atom()
        while (char := self._peek()) and (char in "*+?" or (char == "{" and self._counts() is not None)):
            if char == "{":
                low, high, self._at = self._counts()  # type: ignore[misc]
            else:
                low, high = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}[char]
                self._at += 1
            if self._peek() == "?":
                self._at += 1
            self._expand(start, low, high)

    def _counts(self) -> tuple[int, int, int] | None:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : end].partition(",") if end > 0 else ("", "", "")
        if not (low.isascii() and low.isdigit() and len(low) <= 3) or (high and not (high.isascii() and high.isdigit() and len(high) <= 3)):
            return None
        most = int(high) if high else (-1 if comma else int(low))
        if most != -1 and most < int(low):
            raise self._bad()
        return int(low), most, end + 1

    def _expand(self, start: int, low: int, high: int) -> None:
        body = self._ops[start:]
        del self._ops[start:]

        def copy() -> int:
            begin = len(self._ops)
            for op in body:
                self._ops.append(self._shift(op, 0, begin - start))
                if len(self._ops) > MAX_STATES:
                    raise InvalidArgument("invalid filter: the pattern is too large")
            return begin

        for _ in range(low):
            copy()
        if high == -1:
            fork = self._emit(_SPLIT, None, None)
            copy()
            self._emit(_SPLIT, fork, None)
            self._ops[fork] = (_SPLIT, fork + 1, len(self._ops))
        else:
            forks = []
            for _ in range(high - low):
                forks.append(self._emit(_SPLIT, None, None))
                copy()
            for fork in forks:
                self._ops[fork] = (_SPLIT, fork + 1, len(self._ops))

    def _atom(self) -> None:
        char = self._text[self._at]
        self._at += 1
        if char == "(":
            self._depth += 1
            if self._depth > 16:
                raise self._bad()
            if self._text.startswith("?:", self._at):
                self._at += 2
            self._alternation()
            if self._peek() != ")":
                raise self._bad()
            self._at += 1
            self._depth -= 1
        elif char == "^":
            self._emit(_BEGIN, None, None)
        elif char == "$":
            self._emit(_END, None, None)
        elif char == ".":
            self._emit(_SET, [("\n", "\n")], True)
        elif char == "[":
            self._set()
        elif char == "\\":
            ranges, negated = self._escape()
            self._emit(_SET, ranges, negated)
        elif char in "*+?":
            raise self._bad()
        else:
            self._emit(_SET, [(char, char)], False)

    def _escape(self) -> tuple[_Ranges, bool]:
        char = self._peek()
        if not char:
            raise self._bad()
        self._at += 1
        if char.lower() in _CLASSES:
            return _CLASSES[char.lower()], char.isupper()
        if char in _ESCAPED:
            char = _ESCAPED[char]
        elif char.isalnum():
            raise self._bad()
        return [(char, char)], False

    def _set(self) -> None:
        negated = self._peek() == "^"
        self._at += negated
        ranges: _Ranges = []
        first = True
        while (char := self._peek()) != "]" or first:
            if not char:
                raise self._bad()
            first = False
            self._at += 1
            if char == "\\":
                found, inverted = self._escape()
                if inverted:
                    raise self._bad()
                ranges.extend(found)
                continue
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                high = self._text[self._at + 1]
                self._at += 2
                if high == "\\":
                    high = self._escape()[0][0][0]
                if high < char:
                    raise self._bad()
                ranges.append((char, high))
            else:
                ranges.append((char, char))
        self._at += 1
        self._emit(_SET, ranges, negated)
