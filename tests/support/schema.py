"""The Engine API's own definition (Swagger 2.0, API 1.51, prose removed) as a checker of replies and a source of requests."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

FILE = Path(__file__).parents[1] / "conformance" / "engine-v1.51.json"


@functools.cache
def document() -> dict[str, Any]:
    """The definition: paths and definitions."""
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    # dockerd and its clients: null while the process runs, though the definition does not say so
    loaded["paths"]["/exec/{id}/json"]["get"]["responses"]["200"]["schema"]["properties"]["ExitCode"]["x-nullable"] = True
    for name in ("OomKillDisable", "MemorySwappiness"):
        loaded["definitions"]["Resources"]["properties"][name]["x-nullable"] = True
    return loaded


def _nullable(schema: Any) -> Any:
    """Go writes nil maps and slices as null; the definition marks only some: allow null for every array, object and reference."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _nullable(value) for key, value in schema.items() if key not in ("format", "x-nullable")}
    kind = out.get("type")
    if isinstance(kind, str) and (kind in ("array", "object") or schema.get("x-nullable")):
        out["type"] = [kind, "null"]
        if "enum" in out:
            out["enum"] = [*out["enum"], None]
    return out


@functools.cache
def _lenient() -> dict[str, Any]:
    return {name: _nullable(schema) for name, schema in document()["definitions"].items()}


def check_reply(method: str, path: str, status: int, reply: Any) -> None:
    """Fail where `reply` is not what the definition says of `path` (its template) and `status`."""
    operation = document()["paths"][path][method.lower()]
    assert str(status) in operation["responses"], f"{method} {path} may not answer {status}: {reply!r}"
    schema = operation["responses"][str(status)].get("schema")
    if schema is not None and reply is not None:
        whole = {**_nullable(schema), "definitions": _lenient()}
        error = jsonschema.exceptions.best_match(jsonschema.Draft4Validator(whole).iter_errors(reply))
        assert error is None, f"{method} {path} {status}: {error.json_path}: {error.message}"
