"""Requests made from the Engine API's definition: well-formed ones, and ones that are wrong in one or two places. Seeded."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.schema import document

NASTY_TEXT = [
    "",
    " ",
    "a" * 5000,
    "../../etc/passwd",
    "\x00",
    "é\u202e",
    "%s%n",
    "-1",
    "0x10",
    "1e400",
    "null",
    "{}",
    "[",
    "\n",
    "sha256:" + "f" * 64,
    "a/b:c@d",
    "🚢",
]
NASTY_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    -(2**63) - 1,
    1.5,
    "",
    "x",
    [],
    {},
    [None],
    [[]],
    {"": None},
    {"a": {"b": []}},
    "\ud800",
]
# what would end the engine's host, or hold a connection open by design, is not drawn
LEFT_OUT = {"/session", "/events", "/containers/{id}/attach", "/containers/{id}/attach/ws", "/exec/{id}/start", "/containers/{id}/wait"}


@dataclass(frozen=True)
class Request:
    """One request: target as written on the request line, body as sent."""

    method: str
    template: str
    target: str
    body: bytes
    headers: dict[str, str]


class Maker:
    """An endless source of requests, the same for the same seed."""

    def __init__(self, seed: int, names: dict[str, list[str]]) -> None:
        self._random = random.Random(seed)
        self._names = names
        self._operations = [
            (method.upper(), path, operation)
            for path, methods in sorted(document()["paths"].items())
            for method, operation in sorted(methods.items())
            if path not in LEFT_OUT and method in ("get", "post", "put", "delete", "head")
        ]

    def requests(self, count: int) -> Iterator[Request]:
        for _ in range(count):
            yield self._request(*self._random.choice(self._operations))

    def _request(self, method: str, path: str, operation: dict[str, Any]) -> Request:
        rnd = self._random
        query: list[tuple[str, str]] = []
        target, body, headers = path, b"", {}
        for parameter in operation.get("parameters", []):
            where, name = parameter["in"], parameter["name"]
            if where == "path":
                known = self._names.get(path.split("/")[1], ["x"])
                value = rnd.choice(known) if rnd.random() < 0.7 else rnd.choice(NASTY_TEXT)
                target = target.replace("{" + name + "}", quote(value, safe="/:@"))
            elif where == "query" and rnd.random() < 0.5:
                query.append((name, self._query_value(parameter)))
            elif where == "header" and rnd.random() < 0.3:
                headers[name] = quote(rnd.choice(NASTY_TEXT))
            elif where == "body":
                body, headers["Content-Type"] = self._body(parameter.get("schema", {})), "application/json"
        query = [(name, "0" if name in ("follow", "stream") else value) for name, value in query]
        if path.endswith(("/logs", "/stats")):
            query.append(("stream", "0"))
        if query:
            target += "?" + urlencode(query, errors="replace")
        if rnd.random() < 0.05:
            headers["Content-Type"] = rnd.choice(["text/plain", "application/x-tar", "", "application/json; charset=utf-8"])
        if rnd.random() < 0.2:
            target = f"/v1.{rnd.choice([24, 30, 40, 44, 51, 99, 0])}" + target
        return Request(method, path, target, body, headers)

    def _query_value(self, parameter: dict[str, Any]) -> str:
        rnd, kind = self._random, parameter.get("type")
        if rnd.random() < 0.3:
            return rnd.choice(NASTY_TEXT)
        if parameter["name"] == "filters":
            choices: list[Any] = [
                {"label": ["a=b"]},
                {"name": {"x": True}},
                {"id": ["("]},
                {"before": ["nope"]},
                {"until": ["10m"]},
                [],
                "x",
                {"a": 1},
                {"name": ["(a+)+$"]},
            ]
            return json.dumps(rnd.choice(choices))
        if parameter["name"] in ("t", "timeout"):
            return rnd.choice(["0", "1"])
        if kind == "boolean":
            return rnd.choice(["true", "false", "1", "0", "maybe"])
        if kind == "integer":
            return str(rnd.choice([0, 1, -1, 80, 2**31, 2**64]))
        return rnd.choice(["x", "busybox", "busybox:latest", "latest", "bridge", "SIGKILL", "/etc", "not-running"])

    def _body(self, schema: dict[str, Any]) -> bytes:
        rnd, value = self._random, self._value(schema, 0)
        text = json.dumps(value)
        roll = rnd.random()
        if roll < 0.05:
            text = text[: rnd.randrange(len(text) + 1)]
        elif roll < 0.08:
            text += rnd.choice(["{}", "x", "\x00", "]"])
        return text.encode("utf-8", "surrogatepass")

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        rnd = self._random
        if rnd.random() < 0.03 or depth > 6:
            return rnd.choice(NASTY_VALUES)
        if "$ref" in schema:
            return self._value(document()["definitions"][schema["$ref"].rsplit("/", 1)[1]], depth + 1)
        if "allOf" in schema:
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                value = self._value(part, depth)
                merged.update(value if isinstance(value, dict) else {})
            return merged
        if schema.get("enum"):
            return rnd.choice([*schema["enum"], "nonsense"])
        match schema.get("type"):
            case "object" | None:
                chance = 0.25 if depth else 0.4
                out = {name: self._value(part, depth + 1) for name, part in schema.get("properties", {}).items() if rnd.random() < chance}
                if isinstance(schema.get("additionalProperties"), dict) and rnd.random() < 0.5:
                    out[rnd.choice(["80/tcp", "a", "/data", "bridge", ""])] = self._value(schema["additionalProperties"], depth + 1)
                if "Image" in schema.get("properties", {}) and rnd.random() < 0.8:
                    out["Image"] = "busybox:latest"
                return out
            case "array":
                return [self._value(schema.get("items", {}), depth + 1) for _ in range(rnd.choice([0, 1, 1, 2]))]
            case "integer":
                return rnd.choice([0, 1, 2, -1, 100, 4096, 8 << 20, 2**40])
            case "number":
                return rnd.choice([0, 0.5, -1])
            case "boolean":
                return rnd.random() < 0.5
            case _:
                return rnd.choice(["", "x", "true", "/tmp", "a=b", "host", "bridge", "none", "private", "10.9.0.0/16", *NASTY_TEXT[:8]])
