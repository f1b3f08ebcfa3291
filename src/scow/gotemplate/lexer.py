"""Reading a template: text and actions, then the tokens of an action."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    Token = tuple[str, Any, int]  # kind, value, place in the template

from scow.errors import InvalidArgument

MAX_TEXT = 64 * 1024
MAX_DEPTH = 64


class TemplateError(InvalidArgument):
    """The template can't be read, or not be run on this value."""


def split(text: str) -> list[tuple[str, str, int]]:
    """("text"|"action", content, its place), trim markers applied."""
    parts: list[tuple[str, str, int]] = []
    at = 0
    trim = False
    while True:
        start = text.find("{{", at)
        literal = text[at:] if start < 0 else text[at:start]
        if trim:
            literal = literal.lstrip(" \t\r\n")
        if start < 0:
            parts.append(("text", literal, at))
            return parts
        body = start + 2
        if text[body : body + 1] == "-" and text[body + 1 : body + 2] in (" ", "\t", "\n", "\r"):
            literal = literal.rstrip(" \t\r\n")
            body += 1
        if literal:
            parts.append(("text", literal, at))
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
            parts.append(("action", inner[:-1] if trim else inner, body))
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


def tokens(text: str, base: int = 0) -> list[Token]:
    """The tokens of an action that stands at `base` of the template. Raises TemplateError."""
    found: list[Token] = []
    at = 0
    size = len(text)
    while at < size:
        char = text[at]
        if char in " \t\r\n":
            begin = at
            while at < size and text[at] in " \t\r\n":
                at += 1
            found.append(("space", text[begin:at], base + begin))
            continue
        if char in "\"`'":
            end = at + 1
            while end < size and text[end] != char:
                end += 2 if text[end] == "\\" and char != "`" else 1
            if end >= size:
                raise TemplateError("template parsing error: template: :1: unterminated quoted string")
            body = text[at + 1 : end]
            value: Any = body if char == "`" else _unquote(body)
            found.append(("value", ord(value) if char == "'" and len(value) == 1 else value, base + at))
            at = end + 1
            continue
        if char in "(),|":
            found.append((char, char, base + at))
            at += 1
            continue
        if text.startswith(":=", at):
            found.append((":=", ":=", base + at))
            at += 2
            continue
        if char == "=":
            found.append(("=", "=", base + at))
            at += 1
            continue
        end = at + 1
        if char in "+-0123456789" or (char == "." and text[end : end + 1].isdigit()):
            while end < size and (text[end].isalnum() or text[end] in "._+-"):
                end += 1
            found.append(("value", _number(text[at:end]), base + at))
        elif char in ".$" or char.isalpha() or char == "_":
            while end < size and (text[end].isalnum() or text[end] == "_"):
                end += 1
            word = text[at:end]
            kind = "field" if char == "." else "var" if char == "$" else "word"
            if kind == "field":
                found.append(("dot", None, base + at) if word == "." else ("field", word[1:], base + at))
            else:
                found.append((kind, word, base + at))
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
