"""Nodes out of tokens: tuples whose first item names their kind."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from scow.gotemplate.lexer import Token

    Node = tuple[Any, ...]
    Functions = Mapping[str, Callable[..., Any]]

from scow.gotemplate.lexer import MAX_DEPTH, TemplateError, split
from scow.gotemplate.lexer import tokens as tokens_of


class Parser:
    """Turns tokens into nodes; control words nest through `block`."""

    def __init__(self, text: str, functions: Functions) -> None:
        self.text = text
        self.parts = split(text)
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
            kind, text, place = self.parts[self.at]
            self.at += 1
            if kind == "text":
                nodes.append(("text", text))
                continue
            tokens = tokens_of(text.strip(), place + len(text) - len(text.lstrip()))
            if not tokens:
                raise TemplateError("template parsing error: template: :1: missing value for command")
            word = tokens[0][1] if tokens[0][0] == "word" else ""
            if word in ("end", "else"):
                if word not in ends:
                    raise TemplateError(f"template parsing error: template: :1: unexpected {{{{{word}}}}}")
                self.depth -= 1
                return nodes, word, tokens[1:]
            if word in ("if", "with", "range"):
                if len(_solid(tokens)) == 1:
                    raise TemplateError(f"template parsing error: template: :1: missing value for {word}")
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
            if operands:
                solid = _solid(command)
                operands.append(("source", solid[0][2], self.source(solid)))
            if not operands:
                raise TemplateError("template parsing error: template: :1: missing value for command")
            made.append(operands)
        return ("pipe", made)

    def source(self, tokens: list[Token]) -> str:
        """What these tokens were written as."""
        last = tokens[-1]
        begin, end = tokens[0][2], last[2]
        if last[0] in ("word", "var"):
            end += len(last[1])
        elif last[0] == "field":
            end += 1 + len(last[1])
        else:
            end += 1
            while end < len(self.text) and self.text[end] not in " \t\r\n|)}":
                end += 1
        return self.text[begin:end]

    def operands(self, tokens: list[Token]) -> list[Node]:
        found: list[Node] = []
        glued = False
        index = 0
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TemplateError("template parsing error: template: :1: nested too deep")
        while index < len(tokens):
            kind, value, place = tokens[index]
            index += 1
            if kind == "space":
                glued = False
                continue
            if kind == "field":
                if glued and found:
                    base = found[-1]
                    if base[0] == "chain":  # Go names the place of the second field
                        found[-1] = ("chain", base[1], [*base[2], value], place if len(base[2]) == 1 else base[3])
                    else:
                        found[-1] = ("chain", base, [value], place)
                else:
                    found.append(("chain", ("dot",), [value], place))
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
