"""`RUN --mount=type=bind|cache|tmpfs|secret|ssh,…` (checklist A3 of the reference)."""

from dataclasses import dataclass

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Expander, hint
from scow.build.dockerfile.lexer import FALSE, TRUE
from scow.errors import InvalidArgument
from scow.opts.mounts import fields_of
from scow.units import parse_size

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_KEYS = (
    "type", "from", "source", "src", "target", "dst", "destination", "readonly", "ro", "readwrite", "rw", "id", "sharing",
    "required", "size", "mode", "uid", "gid", "env",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of one RUN. Before expansion a mount with variables holds only `text`, `type` and `from_`."""

    text: str
    type: str = "bind"
    source: str = ""
    target: str = ""
    from_: str = ""
    readonly: bool = True
    id: str = ""
    sharing: str = ""
    required: bool = False
    env: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0


def parse_mount(text: str, to: Expander | None = None) -> Mount:
    """Read the value of --mount; without `to`, a value with variables is read as far as they allow. Raises DockerfileError."""
    try:
        fields = fields_of(text)
    except InvalidArgument as exc:
        raise DockerfileError(exc.message) from None
    rows = [(*_split(field), field) for field in fields]
    for key, value, _ in rows:
        if key == "from" and value and "$" in value:
            raise DockerfileError("'from' doesn't support variable expansion, define alias stage instead")
    if to is None and "$" in text:
        named = {key: value for key, value, _ in rows if value and "$" not in value}
        return Mount(text, type=named.get("type") or "bind", from_=named.get("from") or "")
    return _mount(text, [(key, to.word(value) if to and value else value, field) for key, value, field in rows])


def _split(field: str) -> tuple[str, str | None]:
    key, has, value = field.partition("=")
    return key.strip().lower(), value if has else None


def _mount(text: str, rows: list[tuple[str, str | None, str]]) -> Mount:
    found: dict[str, str] = {}
    readonly: bool | None = None
    required = False
    kind = next((value for key, value, _ in rows if key == "type" and value), "bind")
    if kind not in TYPES:
        raise DockerfileError(f'unsupported mount type "{kind}"' + hint(kind, TYPES))
    for key, value, field in rows:
        if key in ("readonly", "ro"):
            readonly = _bool(key, value)
        elif key in ("readwrite", "rw"):
            readonly = not _bool(key, value)
        elif key == "required":
            if kind not in ("secret", "ssh"):
                raise DockerfileError(f"unexpected key '{key}' for mount type '{kind}'")
            required = _bool(key, value)
        elif value is None:
            raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
        elif key not in _KEYS:
            raise DockerfileError(f"unexpected key '{key}' in '{field}'" + hint(key, _KEYS))
        else:
            found[{"src": "source", "dst": "target", "destination": "target"}.get(key, key)] = value
    mount = Mount(
        text,
        kind,
        found.get("source", ""),
        found.get("target", ""),
        found.get("from", ""),
        kind not in ("cache", "tmpfs") if readonly is None else readonly,
        found.get("id", ""),
        found.get("sharing", ""),
        required,
        found.get("env", ""),
        _number("mode", found.get("mode"), 8),
        _number("uid", found.get("uid"), 10),
        _number("gid", found.get("gid"), 10),
        _size(kind, found.get("size")),
    )
    _check(mount)
    return mount


def _check(mount: Mount) -> None:
    if mount.type not in ("secret", "ssh", "cache"):
        for name in ("mode", "uid", "gid"):
            if getattr(mount, name) is not None:
                raise DockerfileError(f'{name} not allowed for "{mount.type}" type mounts')
    if mount.sharing and mount.sharing not in SHARING:
        raise DockerfileError(f'unsupported sharing value "{mount.sharing}"' + hint(mount.sharing, SHARING))
    if mount.sharing and mount.type != "cache":
        raise DockerfileError(f"invalid cache sharing set for {mount.type} mount")
    if mount.env and mount.type != "secret":
        raise DockerfileError(f"unexpected key 'env' for mount type '{mount.type}'")
    if mount.type == "secret":
        if mount.from_:
            raise DockerfileError("secret mount should not have a from")
        if not (mount.source or mount.target or mount.id):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if mount.source and mount.id:
            raise DockerfileError("both source and id can't be set")


def _bool(key: str, value: str | None) -> bool:
    if value is None or value in TRUE:
        return True
    if value in FALSE:
        return False
    raise DockerfileError(f"invalid value for {key}: {value}")


def _number(name: str, text: str | None, base: int) -> int | None:
    if text is None:
        return None
    digits = "01234567" if base == 8 else "0123456789"
    if not text or len(text) > 10 or text.strip(digits) or int(text, base) > 0xFFFFFFFF:
        raise DockerfileError(f"invalid value {text} for {name}")
    return int(text, base)


def _size(kind: str, text: str | None) -> int:
    if text is None:
        return 0
    if kind != "tmpfs":
        raise DockerfileError(f"unexpected key 'size' for mount type '{kind}'")
    try:
        return parse_size(text)
    except InvalidArgument as exc:
        raise DockerfileError(f"invalid value for size: {text}: {exc.message}") from None
