"""Variables in values: `$V ${V} ${V:-word} ${V-word} ${V:?word} ${V?word} ${V:+word} ${V+word}` with words that nest, `$$` for a dollar.

`substitute` serves compose files, .env and env_file formats; `tree` walks a whole document and casts what must be a number or a boolean,
because a variable is always a text (rules: compose-spec 12, and where the plugin casts).
"""

from __future__ import annotations

from scow.compose.load.errors import BadValue, LoadError
from scow.compose.load.tries import RULE, below, dotted, trie

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.compose.load.tries import Trie

    Path = tuple[str, ...]
    Lookup = Callable[[str], str | None]

MAX_RESULT = 4 << 20  # letters of one value
MAX_WORK = 32 << 20  # letters that the variables of a load make
PER_VARIABLE = 64  # letters that a variable counts for beside its value
MAX_NESTING = 32
SHOWN = 500  # letters of a template that an error quotes

_DIGITS = frozenset("0123456789")
_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_NAME = _FIRST | _DIGITS
_OPERATORS = (":-", ":+", ":?", "-", "+", "?")
_BOOLS = {"true": True, "y": True, "yes": True, "on": True, "false": False, "n": False, "no": False, "off": False}


class Variables:
    """What a text may name. `lookup` gives a value or None; names that are not set are noted in `unset`, once each. `outer` are the
    variables of the file that includes this one: what is noted and counted is shared with it."""

    __slots__ = ("_work", "lookup", "unset")

    def __init__(self, lookup: Lookup, outer: Variables | None = None) -> None:
        self.lookup = lookup
        self.unset: dict[str, None] = {} if outer is None else outer.unset
        self._work: list[int] = [0] if outer is None else outer._work

    def spend(self, letters: int) -> None:
        """Counts what is made. Raises LoadError where it is too much: values in values double with each line."""
        self._work[0] += letters
        if self._work[0] > MAX_WORK:
            raise LoadError(f"variables make more than {MAX_WORK >> 20} MB of text")

    def value(self, name: str) -> str:
        """The value of a plain `$NAME`."""
        found = self.lookup(name)
        if found is None:
            self.unset[name] = None
            return ""
        return found


class InvalidTemplate(LoadError):
    """A `${` that is not closed, or names nothing."""


class MissingVariable(LoadError):
    """`${V?…}` of a variable that is not there."""


def substitute(text: str, variables: Variables, depth: int = 0) -> str:
    """The text with its variables replaced. Raises InvalidTemplate, MissingVariable."""
    at = text.find("$")
    if at < 0:
        return text
    if depth > MAX_NESTING:
        raise InvalidTemplate(f"variables nested deeper than {MAX_NESTING} levels")
    if depth:
        variables.spend(len(text))
    out = [text[:at]]
    size = at
    end = len(text)
    while at < end:
        stop = text.find("$", at)
        if stop != at:
            stop = end if stop < 0 else stop
            out.append(text[at:stop])
            at = stop
            continue
        following = text[at + 1 : at + 2]
        if following == "$":
            out.append("$")
            at += 2
            continue
        if following == "{":
            closing = _closing(text, at + 1)
            if closing < 0:
                raise InvalidTemplate(text[:SHOWN])
            value = _braced(text[at + 2 : closing], variables, depth, text)
            at = closing + 1
        else:
            stop = _name_end(text, at + 1)
            if stop == at + 1:
                out.append("$")
                at += 1
                continue
            value = variables.value(text[at + 1 : stop])
            at = stop
        variables.spend(len(value) + PER_VARIABLE)
        size += len(value)
        if size > MAX_RESULT:
            raise LoadError(f"variables make a text of more than {MAX_RESULT >> 20} MB")
        out.append(value)
    return "".join(out)


def _name_end(text: str, at: int) -> int:
    """Where the name that starts at `at` ends; `at` where there is none."""
    if text[at : at + 1] in _FIRST:
        at += 1
        while text[at : at + 1] in _NAME:
            at += 1
    return at


def _operator(text: str, at: int) -> str:
    """The operator that stands at `at`, or ""."""
    return next((one for one in _OPERATORS if text.startswith(one, at)), "")


def _closing(text: str, opening: int) -> int:
    """Where the brace that opens at `opening` closes; -1 where it does not."""
    level = 0
    for at in range(opening, len(text)):
        if text[at] == "{":
            level += 1
        elif text[at] == "}":
            level -= 1
            if not level:
                return at
    return -1


def _braced(inner: str, variables: Variables, depth: int, whole: str) -> str:
    end = _name_end(inner, 0)
    if not end:
        raise InvalidTemplate(whole[:SHOWN])
    name, sign = inner[:end], _operator(inner, end)
    if end == len(inner):
        return variables.value(name)
    if not sign:
        raise InvalidTemplate(whole[:SHOWN])
    word = substitute(inner[end + len(sign) :], variables, depth + 1)
    value = variables.lookup(name)
    there = bool(value) if sign[0] == ":" else value is not None
    if sign[-1] == "-":
        return word if not there else value or ""
    if sign[-1] == "+":
        return word if there else value or ""
    if there:
        return value or ""
    reason = f": {word}" if word else ""
    raise MissingVariable(f"required variable {name} is missing a value{reason}")


def _number(text: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isdigit() or not digits.isascii() or len(digits) > 19:
        raise ValueError(f'parsing "{text[:80]}": invalid syntax')
    return int(text)


def _fraction(text: str) -> float:
    try:
        if len(text) > 400 or "_" in text or text.strip() != text:
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f'parsing "{text[:80]}": invalid syntax') from None


def _boolean(text: str) -> bool:
    found = _BOOLS.get(text.lower())
    if found is None:
        raise ValueError(f"invalid boolean: {text[:80]}")
    return found


_NUMBERS = (
    *("cpu_count", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "deploy.replicas", "scale"),
    *("deploy.update_config.parallelism", "deploy.rollback_config.parallelism", "deploy.restart_policy.max_attempts"),
    *("deploy.placement.max_replicas_per_node", "healthcheck.retries", "oom_score_adj", "pids_limit", "ports.*.target"),
    *("ulimits.*", "ulimits.*.hard", "ulimits.*.soft"),
)
_FRACTIONS = ("cpu_percent", "cpus", "deploy.update_config.max_failure_ratio", "deploy.rollback_config.max_failure_ratio")
_BOOLEANS = (
    *("init", "healthcheck.disable", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty", "volumes.*.read_only"),
    *("volumes.*.volume.nocopy", "depends_on.*.required", "depends_on.*.restart"),
)
CASTS: Trie = trie(
    {
        **{f"services.*.{key}": _number for key in _NUMBERS},
        **{f"services.*.{key}": _fraction for key in _FRACTIONS},
        **{f"services.*.{key}": _boolean for key in _BOOLEANS},
        **{f"networks.*.{key}": _boolean for key in ("external", "internal", "attachable", "enable_ipv4", "enable_ipv6")},
        **{f"{kind}.*.external": _boolean for kind in ("volumes", "secrets", "configs")},
    }
)


def tree(value: Any, variables: Variables, casts: Trie | None = CASTS, path: Path = ()) -> Any:
    """The document with its variables replaced, in place. Raises BadValue."""
    if isinstance(value, str):
        rule = casts.get(RULE) if casts else None
        if rule is None and "$" not in value:
            return value
        try:
            text = substitute(value, variables)
        except InvalidTemplate as exc:
            raise BadValue(
                path, f"invalid interpolation format for {dotted(path)}.\nYou may need to escape any $ with another $.\n{exc.message}"
            ) from None
        except LoadError as exc:
            raise BadValue(path, f"error while interpolating {dotted(path)}: {exc.message}") from None
        if rule is None:
            return text
        try:
            return rule(text)
        except ValueError as exc:
            raise BadValue(path, f"error while interpolating {dotted(path)}: failed to cast to expected type: {exc}") from None
    if isinstance(value, dict):
        for key, one in value.items():
            rules = below(casts, key)
            # most values are texts without variables: a call for each would be half of the time
            if one is not None and (type(one) is not str or rules or "$" in one):
                value[key] = tree(one, variables, rules, (*path, key))
    elif isinstance(value, list):
        child = casts.get("*") if casts else None
        for index, one in enumerate(value):
            if type(one) is not str or child or "$" in one:
                value[index] = tree(one, variables, child, (*path, str(index)))
    return value


def variables_of(value: Any, found: dict[str, tuple[str, str, str]] | None = None) -> dict[str, tuple[str, str, str]]:
    """Every variable that a document names: (`required` or "", default, alternate) by name, for `config --variables`."""
    found = {} if found is None else found
    if isinstance(value, str):
        _names(value, found, 0)
    elif isinstance(value, dict):
        for one in value.values():
            variables_of(one, found)
    elif isinstance(value, list):
        for one in value:
            variables_of(one, found)
    return found


def _names(text: str, found: dict[str, tuple[str, str, str]], depth: int) -> None:
    at = text.find("$")
    while 0 <= at < len(text) and depth <= MAX_NESTING:
        if text[at + 1 : at + 2] == "{":
            closing = _closing(text, at + 1)
            if closing < 0:
                return
            inner = text[at + 2 : closing]
            end = _name_end(inner, 0)
            if end:
                operator = _operator(inner, end)
                sign, word = operator[-1:], inner[end + len(operator) :] if operator else ""
                found.setdefault(inner[:end], ("required" if sign == "?" else "", word if sign == "-" else "", word if sign == "+" else ""))
                _names(word, found, depth + 1)
            at = closing
        elif text[at + 1 : at + 2] == "$":
            at += 1
        else:
            end = _name_end(text, at + 1)
            if end > at + 1:
                found.setdefault(text[at + 1 : end], ("", "", ""))
        at = text.find("$", at + 1)
