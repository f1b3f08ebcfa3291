"""Running a template on a value, with bounded steps, depth and output."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from scow.gotemplate.parser import Functions, Node

from scow.gotemplate.functions import BUILTINS, TEXTS, wrong_count
from scow.gotemplate.lexer import MAX_TEXT, TemplateError
from scow.gotemplate.parser import Parser
from scow.gotemplate.values import NO_VALUE, go_print, truth, type_name

MAX_STEPS = 5_000_000
MAX_DEPTH = 64
MAX_OUTPUT = 64 * 1024 * 1024


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
        self._text = text
        parser = Parser(text, self._functions)
        self._nodes, _, _ = parser.block(())
        self._defined = parser.defined

    def render(
        self,
        data: Any,
        missing: str = "no value",
        optional: Mapping[str, Any] | None = None,
        kind: str = "",
        maps: Collection[str] = (),
        shown: Callable[[str, Any], str | None] | None = None,
    ) -> str:
        """The text for `data`. `missing="error"` makes a missing key a TemplateError, as docker's inspect does, unless `optional` has
        its value, or the dict is one of `maps` (names of fields whose keys are the user's). `kind`: what errors call data's type.
        `shown(field, value)`: how a field is printed that Go knows by its type; None leaves it to the value."""
        run = _Run(self, self._functions, self._defined, missing, optional or {}, kind, maps)
        run.shown = shown
        run.root = data
        run.nodes(self._nodes, data, [{"$": data}])
        return "".join(run.out)

    def place(self, at: int, source: str) -> str:
        """`template: :1:2: executing "" at <.Name>`, as Go words it."""
        before = self._text[:at]
        line = before.count("\n") + 1
        column = len(before.rpartition("\n")[2].encode("utf-8", "replace"))
        shown = source if len(source) <= 20 else source[:20] + "..."
        return f'template: :{line}:{column}: executing "" at <{shown}>'


class _Run:
    def __init__(
        self,
        template: Template,
        functions: Functions,
        defined: dict[str, list[Node]],
        missing: str,
        optional: Mapping[str, Any],
        kind: str,
        maps: Collection[str],
    ) -> None:
        self.template = template
        self.root: Any = None
        self.shown: Callable[[str, Any], str | None] | None = None
        self.kind = kind
        self.maps = maps
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
                self.write(self.printed(node[1], self.pipe(node[1], dot, scopes)))
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

    def printed(self, pipe: Node, value: Any) -> str:
        """The text of an action's value."""
        if self.shown is not None and len(pipe[1]) == 1 and pipe[1][0][0][0] == "chain" and len(pipe[1][0]) == 2:
            text = self.shown(pipe[1][0][0][2][-1], value)
            if text is not None:
                return text
        return go_print(value)

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
        source: Node = ("source", 2, "")
        if operands[-1][0] == "source":
            source, operands = operands[-1], operands[:-1]
        head = operands[0]
        if head[0] == "func":
            name = head[1]
            if name in ("and", "or"):
                return self.logic(name, operands[1:], final, dot, scopes, (source[1], name))
            args = [self.value(one, dot, scopes) for one in operands[1:]] + final
            function = self.functions[name]
            wrong = wrong_count(function, len(args), name)
            if wrong:
                raise TemplateError(f"{self.template.place(source[1], name)}: {wrong}")
            if name in TEXTS and not isinstance(args[0], str):
                why = f"wrong type for value; expected string; got {type_name(args[0])}"
                raise TemplateError(f"{self.template.place(source[1], source[2] or name)}: {why}")
            try:
                return function(*args)
            except TemplateError as exc:
                why = exc.message
            except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as exc:
                why = str(exc)
            raise TemplateError(f"{self.template.place(source[1], source[2] or name)}: error calling {name}: {why}")
        if head[0] == "chain" and (len(operands) > 1 or final):
            args = [self.value(one, dot, scopes) for one in operands[1:]] + final
            return self.chain(head, dot, scopes, args)
        if len(operands) > 1 or final:
            raise TemplateError(f"{self.template.place(source[1], source[2])}: can't give argument to non-function")
        return self.value(head, dot, scopes)

    def logic(
        self, name: str, operands: list[Node], final: list[Any], dot: Any, scopes: list[dict[str, Any]], place: tuple[int, str]
    ) -> Any:
        value: Any = None
        if not operands and not final:
            raise TemplateError(f"{self.template.place(*place)}: wrong number of args for {name}: want at least 1 got 0")
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
                    value = self.absent(node, name, value is self.root, path[index - 1] if index else "")
                    continue
                value = value[name]
            elif value is None or value is NO_VALUE:
                if value is None and self.missing == "error":
                    raise self.failed(node, f"nil pointer evaluating interface {{}}.{name}")
                value = NO_VALUE
                continue
            else:
                raise self.failed(node, f"can't evaluate field {name} in type {type_name(value)}")
            if callable(value):
                given = (args or []) if last else []
                wrong = wrong_count(value, len(given), name)
                if wrong:
                    raise self.failed(node, wrong)
                try:
                    value = value(*given)
                except (TypeError, ValueError, AttributeError) as exc:
                    raise self.failed(node, f"error calling {name}: {exc}") from None
            elif last and args:
                raise self.failed(node, f"{name} has arguments but cannot be invoked as function")
        return value

    def absent(self, node: Node, name: str, root: bool, parent: str) -> Any:
        """What a field gives that is not there."""
        if name in self.optional:
            return self.optional[name]
        if root and self.kind:
            raise self.failed(node, f"can't evaluate field {name} in type {self.kind}")
        if self.missing == "error" and parent not in self.maps:
            raise self.failed(node, f'map has no entry for key "{name}"')
        return NO_VALUE

    def failed(self, node: Node, why: str) -> TemplateError:
        """The error at a chain of fields."""
        return TemplateError(f"{self.template.place(node[3], '.' + '.'.join(node[2]))}: {why}")
