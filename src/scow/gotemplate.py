"""Go's text/template over JSON-like values: `--format`, log tags, placeholders. Pure.

Supported: fields, variables, pipelines, literals, comments, trim markers, if/else if/else, range (with else, variables, break,
continue), with,
define, template, block, and Go's and docker's functions. Text comes from clients, so size, depth and steps are bounded. Called by
`cli/format`,
`logdrivers` and swarm.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost a tenth of a second of start-up on a slow machine; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Node = tuple[Any, ...]
    Functions = Mapping[str, Callable[..., Any]]
    Token = tuple[str, Any]

from scow.errors import InvalidArgument

MAX_TEXT = 64 * 1024
MAX_STEPS = 5_000_000
MAX_DEPTH = 64
MAX_OUTPUT = 64 * 1024 * 1024


class TemplateError(InvalidArgument):
    """The template can't be read, or not be run on this value."""


class Missing:
    """What a missing map key gives: prints as Go's `<no value>`."""

    def __bool__(self) -> bool:
        return False


NO_VALUE = Missing()

# ---------------------------------------------------------------- reading


def _split(text: str) -> list[tuple[str, str]]:
    """("text"|"action", content), trim markers applied."""
    parts: list[tuple[str, str]] = []
    at = 0
    trim = False
    while True:
        start = text.find("{{", at)
        literal = text[at:] if start < 0 else text[at:start]
        if trim:
            literal = literal.lstrip(" \t\r\n")
        if start < 0:
            parts.append(("text", literal))
            return parts
        body = start + 2
        if text[body : body + 1] == "-" and text[body + 1 : body + 2] in (" ", "\t", "\n", "\r"):
            literal = literal.rstrip(" \t\r\n")
            body += 1
        if literal:
            parts.append(("text", literal))
        if text[body:].lstrip(" \t\r\n").startswith("/*"):
            close = text.find("*/", body)
            end = text.find("}}", close)
            if close < 0 or end < 0:
                raise TemplateError("template parsing error: template: :1: unclosed comment")
            inner = text[close + 2 : end]
            trim = inner.endswith("-")
        else:
            end = _close(text, body)
            inner = text[body:end]
            trim = len(inner) > 1 and inner.endswith("-") and inner[-2] in " \t\r\n"
            parts.append(("action", inner[:-1] if trim else inner))
        at = end + 2


def _close(text: str, at: int) -> int:
    quote = ""
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\" and quote != "`":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'`":
            quote = char
        elif char == "}" and text[at : at + 2] == "}}":
            return at
        at += 1
    raise TemplateError("template parsing error: template: :1: unclosed action")


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquote(body: str) -> str:
    if "\\" not in body:
        return body
    out = []
    at = 0
    while at < len(body):
        char = body[at]
        at += 1
        if char != "\\":
            out.append(char)
            continue
        code = body[at : at + 1]
        at += 1
        if code in _ESCAPES and code:
            out.append(_ESCAPES[code])
        elif code in ("x", "u", "U"):
            width = {"x": 2, "u": 4, "U": 8}[code]
            try:
                out.append(chr(int(body[at : at + width], 16)))
            except (ValueError, OverflowError):
                raise TemplateError("template parsing error: template: :1: bad character escape") from None
            at += width
        else:
            raise TemplateError("template parsing error: template: :1: invalid syntax in a string")
    return "".join(out)


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    size = len(text)
    while at < size:
        char = text[at]
        if char in " \t\r\n":
            begin = at
            while at < size and text[at] in " \t\r\n":
                at += 1
            found.append(("space", text[begin:at]))
            continue
        if char in "\"`'":
            end = at + 1
            while end < size and text[end] != char:
                end += 2 if text[end] == "\\" and char != "`" else 1
            if end >= size:
                raise TemplateError("template parsing error: template: :1: unterminated quoted string")
            body = text[at + 1 : end]
            value: Any = body if char == "`" else _unquote(body)
            found.append(("value", ord(value) if char == "'" and len(value) == 1 else value))
            at = end + 1
            continue
        if char in "(),|":
            found.append((char, char))
            at += 1
            continue
        if text.startswith(":=", at):
            found.append((":=", ":="))
            at += 2
            continue
        if char == "=":
            found.append(("=", "="))
            at += 1
            continue
        end = at + 1
        if char in "+-0123456789" or (char == "." and text[end : end + 1].isdigit()):
            while end < size and (text[end].isalnum() or text[end] in "._+-"):
                end += 1
            found.append(("value", _number(text[at:end])))
        elif char in ".$" or char.isalpha() or char == "_":
            while end < size and (text[end].isalnum() or text[end] == "_"):
                end += 1
            word = text[at:end]
            kind = "field" if char == "." else "var" if char == "$" else "word"
            if kind == "field":
                found.append(("dot", None) if word == "." else ("field", word[1:]))
            else:
                found.append((kind, word))
        else:
            raise TemplateError(f"template parsing error: template: :1: unexpected {char!r} in command")
        at = end
    return found


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise TemplateError(f"template parsing error: template: :1: bad number syntax: {text!r}") from None


class _Parser:
    """Turns tokens into nodes; control words nest through `block`."""

    def __init__(self, text: str, functions: Functions) -> None:
        self.parts = _split(text)
        self.at = 0
        self.functions = functions
        self.defined: dict[str, list[Node]] = {}
        self.depth = 0

    def block(self, ends: tuple[str, ...]) -> tuple[list[Node], str, list[Token]]:
        """Nodes up to one of the control words `ends`; that word and its remaining tokens."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TemplateError("template parsing error: template: :1: nested too deep")
        nodes: list[Node] = []
        while self.at < len(self.parts):
            kind, text = self.parts[self.at]
            self.at += 1
            if kind == "text":
                nodes.append(("text", text))
                continue
            tokens = _tokens(text.strip())
            if not tokens:
                raise TemplateError("template parsing error: template: :1: missing value for command")
            word = tokens[0][1] if tokens[0][0] == "word" else ""
            if word in ("end", "else"):
                if word not in ends:
                    raise TemplateError(f"template parsing error: template: :1: unexpected {{{{{word}}}}}")
                self.depth -= 1
                return nodes, word, tokens[1:]
            if word in ("if", "with", "range"):
                nodes.append(self.control(word, tokens[1:]))
            elif word in ("define", "block"):
                name, rest = self.name(tokens[1:])
                body, _, _ = self.block(("end",))
                self.defined[name] = body
                if word == "block":
                    nodes.append(("template", name, self.pipeline(rest)))
            elif word == "template":
                name, rest = self.name(tokens[1:])
                nodes.append(("template", name, self.pipeline(rest) if _solid(rest) else None))
            elif word in ("break", "continue"):
                nodes.append((word,))
            else:
                nodes.append(self.action(tokens))
        if ends:
            raise TemplateError("template parsing error: template: :1: unexpected EOF")
        self.depth -= 1
        return nodes, "", []

    def name(self, tokens: list[Token]) -> tuple[str, list[Token]]:
        tokens = _lstrip(tokens)
        if not tokens or tokens[0][0] != "value" or not isinstance(tokens[0][1], str):
            raise TemplateError("template parsing error: template: :1: unexpected token in template clause")
        return tokens[0][1], tokens[1:]

    def control(self, word: str, tokens: list[Token]) -> Node:
        names: list[str] = []
        solid = _solid(tokens)
        if len(solid) > 1 and solid[0][0] == "var":
            for index, token in enumerate(solid):
                if token[0] == ":=":
                    names = [one[1] for one in solid[:index] if one[0] == "var"]
                    cut = tokens.index(token)
                    tokens = tokens[cut + 1 :]
                    break
                if token[0] not in ("var", ","):
                    break
        pipe = self.pipeline(tokens)
        body, stop, rest = self.block(("end", "else"))
        other: list[Node] = []
        if stop == "else":
            solid = _solid(rest)
            if solid and solid[0][0] == "word" and solid[0][1] in ("if", "with"):
                other = [self.control(solid[0][1], rest[rest.index(solid[0]) + 1 :])]
            else:
                other, _, _ = self.block(("end",))
        return (word, names, pipe, body, other)

    def action(self, tokens: list[Token]) -> Node:
        solid = _solid(tokens)
        if len(solid) > 1 and solid[0][0] == "var" and solid[1][0] in (":=", "="):
            cut = tokens.index(solid[1])
            return ("set", solid[1][0] == ":=", solid[0][1], self.pipeline(tokens[cut + 1 :]))
        return ("print", self.pipeline(tokens))

    def pipeline(self, tokens: list[Token]) -> Node:
        commands: list[list[Token]] = [[]]
        level = 0
        for token in tokens:
            level += (token[0] == "(") - (token[0] == ")")
            if token[0] == "|" and level == 0:
                commands.append([])
            else:
                commands[-1].append(token)
        if level:
            raise TemplateError("template parsing error: template: :1: unclosed left paren")
        made = []
        for command in commands:
            operands = self.operands(command)
            if not operands:
                raise TemplateError("template parsing error: template: :1: missing value for command")
            made.append(operands)
        return ("pipe", made)

    def operands(self, tokens: list[Token]) -> list[Node]:
        found: list[Node] = []
        glued = False
        index = 0
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TemplateError("template parsing error: template: :1: nested too deep")
        while index < len(tokens):
            kind, value = tokens[index]
            index += 1
            if kind == "space":
                glued = False
                continue
            if kind == "field":
                if glued and found:
                    base = found[-1]
                    found[-1] = ("chain", base[1], [*base[2], value]) if base[0] == "chain" else ("chain", base, [value])
                else:
                    found.append(("chain", ("dot",), [value]))
            elif kind == "dot":
                found.append(("dot",))
            elif kind == "var":
                found.append(("var", value))
            elif kind == "value":
                found.append(("value", value))
            elif kind == "word":
                if value in ("true", "false", "nil"):
                    found.append(("value", {"true": True, "false": False, "nil": None}[value]))
                elif value in self.functions:
                    found.append(("func", value))
                else:
                    raise TemplateError(f'template parsing error: template: :1: function "{value}" not defined')
            elif kind == "(":
                level, begin = 1, index
                while level:
                    level += (tokens[index][0] == "(") - (tokens[index][0] == ")")
                    index += 1
                found.append(self.pipeline(tokens[begin : index - 1]))
            else:
                raise TemplateError(f"template parsing error: template: :1: unexpected {value!r} in operand")
            glued = True
        self.depth -= 1
        return found


def _solid(tokens: list[Token]) -> list[Token]:
    return [token for token in tokens if token[0] != "space"]


def _lstrip(tokens: list[Token]) -> list[Token]:
    return tokens[1:] if tokens and tokens[0][0] == "space" else tokens


# ---------------------------------------------------------------- running


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Template:
    """A parsed template. `render(data)` may be called often."""

    def __init__(self, text: str, functions: Functions | None = None) -> None:
        """Raises TemplateError."""
        if len(text) > MAX_TEXT:
            raise TemplateError("template parsing error: the template is too long")
        self._functions: dict[str, Callable[..., Any]] = {**BUILTINS, **(functions or {})}
        parser = _Parser(text, self._functions)
        self._nodes, _, _ = parser.block(())
        self._defined = parser.defined

    def render(self, data: Any, missing: str = "no value", optional: Mapping[str, Any] | None = None) -> str:
        """The text for `data`. `missing="error"` makes a missing key a TemplateError, as docker's inspect does, unless `optional` has
        its value."""
        run = _Run(self._functions, self._defined, missing, optional or {})
        run.nodes(self._nodes, data, [{"$": data}])
        return "".join(run.out)


class _Run:
    def __init__(self, functions: Functions, defined: dict[str, list[Node]], missing: str, optional: Mapping[str, Any]) -> None:
        self.functions = functions
        self.defined = defined
        self.missing = missing
        self.optional = optional
        self.out: list[str] = []
        self.size = 0
        self.steps = 0
        self.depth = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TemplateError("template: the template takes too long")

    def write(self, text: str) -> None:
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise TemplateError("template: the output is too long")
        self.out.append(text)

    def nodes(self, nodes: Sequence[Node], dot: Any, scopes: list[dict[str, Any]]) -> None:
        for node in nodes:
            self.step()
            kind = node[0]
            if kind == "text":
                self.write(node[1])
            elif kind == "print":
                self.write(go_print(self.pipe(node[1], dot, scopes)))
            elif kind == "set":
                self.assign(node, dot, scopes)
            elif kind in ("if", "with"):
                value = self.pipe(node[2], dot, scopes)
                scope = [*scopes, {name: value for name in node[1]}]
                if truth(value):
                    self.nodes(node[3], dot if kind == "if" else value, [*scope, {}])
                else:
                    self.nodes(node[4], dot, [*scope, {}])
            elif kind == "range":
                self.range(node, dot, scopes)
            elif kind == "template":
                body = self.defined.get(node[1])
                if body is None:
                    raise TemplateError(f'template: template "{node[1]}" not defined')
                self.depth += 1
                if self.depth > MAX_DEPTH:
                    raise TemplateError("template: exceeded maximum template depth")
                value = None if node[2] is None else self.pipe(node[2], dot, scopes)
                self.nodes(body, value, [{"$": value}])
                self.depth -= 1
            elif kind == "break":
                raise _Break
            else:
                raise _Continue

    def assign(self, node: Node, dot: Any, scopes: list[dict[str, Any]]) -> None:
        value = self.pipe(node[3], dot, scopes)
        if node[1]:
            scopes[-1][node[2]] = value
            return
        for scope in reversed(scopes):
            if node[2] in scope:
                scope[node[2]] = value
                return
        raise TemplateError(f"template: undefined variable {node[2]!r}")

    def range(self, node: Node, dot: Any, scopes: list[dict[str, Any]]) -> None:
        _, names, pipe, body, other = node
        value = self.pipe(pipe, dot, scopes)
        pairs: list[tuple[Any, Any]]
        if isinstance(value, dict):
            pairs = sorted(value.items(), key=lambda pair: pair[0])
        elif isinstance(value, (list, tuple)):
            pairs = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            pairs = [(index, index) for index in range(min(value, MAX_STEPS))]
        elif value is None or value is NO_VALUE:
            pairs = []
        else:
            raise TemplateError(f"template: :1:2: range can't iterate over {go_print(value)}")
        if not pairs:
            self.nodes(other, dot, [*scopes, {}])
            return
        for key, item in pairs:
            scope = {}
            if len(names) == 1:
                scope[names[0]] = item
            elif names:
                scope[names[0]], scope[names[1]] = key, item
            try:
                self.nodes(body, item, [*scopes, scope])
            except _Continue:
                continue
            except _Break:
                break

    def pipe(self, node: Node, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        final: list[Any] = []
        value: Any = None
        for command in node[1]:
            value = self.command(command, final, dot, scopes)
            final = [value]
        return value

    def command(self, operands: list[Node], final: list[Any], dot: Any, scopes: list[dict[str, Any]]) -> Any:
        self.step()
        head = operands[0]
        if head[0] == "func":
            name = head[1]
            if name in ("and", "or"):
                return self.logic(name, operands[1:], final, dot, scopes)
            args = [self.value(one, dot, scopes) for one in operands[1:]] + final
            try:
                return self.functions[name](*args)
            except TemplateError as exc:
                raise TemplateError(f'template: :1:2: executing "" at <{name}>: error calling {name}: {exc.message}') from None
            except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as exc:
                raise TemplateError(f'template: :1:2: executing "" at <{name}>: error calling {name}: {exc}') from None
        if head[0] == "chain" and (len(operands) > 1 or final):
            args = [self.value(one, dot, scopes) for one in operands[1:]] + final
            return self.chain(head, dot, scopes, args)
        if len(operands) > 1 or final:
            raise TemplateError("template: :1:2: can't give argument to non-function")
        return self.value(head, dot, scopes)

    def logic(self, name: str, operands: list[Node], final: list[Any], dot: Any, scopes: list[dict[str, Any]]) -> Any:
        value: Any = None
        for one in operands:
            value = self.value(one, dot, scopes)
            if truth(value) is (name == "or"):
                return value
        return final[0] if final else value

    def value(self, node: Node, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        kind = node[0]
        if kind == "chain":
            return self.chain(node, dot, scopes, None)
        if kind == "dot":
            return dot
        if kind == "value":
            return node[1]
        if kind == "var":
            for scope in reversed(scopes):
                if node[1] in scope:
                    return scope[node[1]]
            raise TemplateError(f'template parsing error: template: :1: undefined variable "{node[1]}"')
        if kind == "pipe":
            return self.pipe(node, dot, scopes)
        return self.command([node], [], dot, scopes)

    def chain(self, node: Node, dot: Any, scopes: list[dict[str, Any]], args: list[Any] | None) -> Any:
        value = self.value(node[1], dot, scopes)
        path = node[2]
        for index, name in enumerate(path):
            self.step()
            last = index == len(path) - 1
            if isinstance(value, dict):
                if name not in value:
                    if name in self.optional:
                        value = self.optional[name]
                        continue
                    if self.missing == "error":
                        raise TemplateError(f'template: :1:2: executing "" at <.{".".join(path)}>: map has no entry for key "{name}"')
                    value = NO_VALUE
                    continue
                value = value[name]
            elif value is None or value is NO_VALUE:
                if value is None and self.missing == "error":
                    where = ".".join(path)
                    raise TemplateError(f'template: :1:2: executing "" at <.{where}>: nil pointer evaluating interface {{}}.{name}')
                value = NO_VALUE
                continue
            else:
                where = ".".join(path)
                raise TemplateError(f'template: :1:2: executing "" at <.{where}>: can\'t evaluate field {name} in type {_type(value)}')
            if callable(value):
                try:
                    value = value(*(args or [])) if last else value()
                except TypeError:
                    raise TemplateError(f'template: :1:2: executing "" at <.{name}>: wrong number of args for {name}') from None
            elif last and args:
                raise TemplateError(f'template: :1:2: executing "" at <.{name}>: {name} has arguments but cannot be invoked as function')
        return value


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "[]interface {}" if isinstance(value, (list, tuple)) else "interface {}"


def truth(value: Any) -> bool:
    """Go's idea of truth: not the zero value, not empty."""
    return value is not NO_VALUE and bool(value)


def go_print(value: Any) -> str:
    """A value as fmt.Print shows it (`%v`)."""
    if isinstance(value, str):
        return value
    if value is NO_VALUE or value is None:
        return "<no value>" if value is NO_VALUE else "<nil>"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{go_print(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(go_print(one) for one in value) + "]"
    return str(value)


def go_float(value: float) -> str:
    """A float as `%v` prints it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        number = int(exponent)
        return f"{mantissa}e{'-' if number < 0 else '+'}{abs(number):02d}"
    if abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    return text


# ---------------------------------------------------------------- functions


def _json(value: Any) -> str:
    from scow.fastjson import dumps

    return dumps(None if value is NO_VALUE else _plain(value), html=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if not callable(one)}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def go_quote(text: str) -> str:
    """strconv.Quote."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char == "\t":
            out.append("\\t")
        elif char == "\r":
            out.append("\\r")
        elif char.isprintable():
            out.append(char)
        elif ord(char) in _CONTROL:
            out.append(_CONTROL[ord(char)])
        elif ord(char) < 0x80:
            out.append(f"\\x{ord(char):02x}")
        else:
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return '"' + "".join(out) + '"'


_CONTROL = {7: "\\a", 8: "\\b", 12: "\\f", 11: "\\v"}


def printf(fmt: str, *args: Any) -> str:
    """Go's Sprintf for the verbs v s d q t x X f g e c %, with width and precision."""
    out = []
    at = 0
    used = 0
    while at < len(fmt):
        char = fmt[at]
        at += 1
        if char != "%":
            out.append(char)
            continue
        begin = at
        while at < len(fmt) and fmt[at] in "+-# 0":
            at += 1
        flags = fmt[begin:at]
        begin = at
        while at < len(fmt) and (fmt[at].isdigit() or fmt[at] == "."):
            at += 1
        width_text, _, precision_text = fmt[begin:at].partition(".")
        precise = "." in fmt[begin:at]
        verb = fmt[at : at + 1]
        at += 1
        if verb == "%":
            out.append("%")
            continue
        if not verb:
            out.append("%!(NOVERB)")
            break
        if used >= len(args):
            out.append(f"%!{verb}(MISSING)")
            continue
        value = args[used]
        used += 1
        width = min(int(width_text or 0), 10_000)
        precision = min(int(precision_text or 0), 1000) if precise else None
        text = _verb(verb, value, precision, flags)
        if "-" in flags:
            text = text.ljust(width)
        elif "0" in flags and verb in "dxXfeg":
            text = text.zfill(width)
        else:
            text = text.rjust(width)
        out.append(text)
    if used < len(args):
        out.append("%!(EXTRA " + ", ".join(f"{_type(one)}={go_print(one)}" for one in args[used:]) + ")")
    return "".join(out)


def _verb(verb: str, value: Any, precision: int | None, flags: str) -> str:
    if verb in ("v", "s"):
        text = go_print(value)
        if verb == "s" and not isinstance(value, (str, list, tuple, dict)):
            return f"%!s({_type(value)}={text})"
        return text if precision is None else text[:precision]
    if verb == "q":
        return go_quote(go_print(value))
    if verb == "t" and isinstance(value, bool):
        return go_print(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb == "d" and isinstance(value, int) and number:
        return f"{value:+d}" if "+" in flags else str(value)
    if verb in "xX" and isinstance(value, int) and number:
        return format(value, verb)
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if verb == "c" and isinstance(value, int):
        return chr(value)
    if verb in "feg" and isinstance(value, float):
        return f"{value:.{6 if precision is None else precision}{verb}}" if verb != "g" or precision is not None else go_float(value)
    return f"%!{verb}({_type(value)}={go_print(value)})"


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "" if all(isinstance(one, str) for one in value.values()) else NO_VALUE)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int):
                raise TemplateError(f"cannot index slice/array with type {_type(key)}")
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        elif value is None or value is NO_VALUE:
            raise TemplateError("index of untyped nil")
        else:
            raise TemplateError(f"can't index item of type {_type(value)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= low <= high <= len(value):
        raise TemplateError(f"index out of range: {high if high > len(value) else low}")
    return value[low:high]


def _length(value: Any) -> int:
    if value is None or value is NO_VALUE:
        raise TemplateError("len of nil pointer")
    return len(value)


def _equal(first: Any, *others: Any) -> bool:
    return any((type(one) is type(first) and one == first) or (one is None and first is None) for one in others)


def _order(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(first: Any, second: Any) -> bool:
        if isinstance(first, str) != isinstance(second, str):
            raise TemplateError("incompatible types for comparison")
        return check(first, second)

    return compare


def _truncate(value: str, length: int) -> str:
    return value if length < 0 or len(value) < length else value[:length]


def _pad(text: str, before: int, after: int) -> str:
    return text if not text else " " * min(before, 10_000) + text + " " * min(after, 10_000)


def _println(*args: Any) -> str:
    return " ".join(go_print(one) for one in args) + "\n"


def _print(*args: Any) -> str:
    out = []
    for index, one in enumerate(args):
        if index and not isinstance(one, str) and not isinstance(args[index - 1], str):
            out.append(" ")
        out.append(go_print(one))
    return "".join(out)


def _html(*args: Any) -> str:
    text = _print(*args)
    for char, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(char, name)
    return text


def _title(text: str) -> str:
    return "".join(char.upper() if not index or text[index - 1] in " \t\n-" else char for index, char in enumerate(text))


def _join(values: Any, separator: str) -> str:
    return separator.join(go_print(one) for one in values or [])


BUILTINS: dict[str, Callable[..., Any]] = {
    "and": lambda *args: args[-1],
    "or": lambda *args: args[-1],
    "not": lambda value: not truth(value),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": printf,
    "println": _println,
    "html": _html,
    "js": lambda *a: _json(_print(*a))[1:-1],
    "urlquery": lambda *args: "".join(
        chr(b) if chr(b).isalnum() or chr(b) in "-_.~" else "+" if b == 32 else f"%{b:02X}" for b in _print(*args).encode()
    ),
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": _order(lambda a, b: a < b),
    "le": _order(lambda a, b: a <= b),
    "gt": _order(lambda a, b: a > b),
    "ge": _order(lambda a, b: a >= b),
    "json": _json,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "join": _join,
    "title": _title,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": _truncate,
    "table": lambda value: value,
}
