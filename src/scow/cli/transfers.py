"""Progress lines of the engine (pull, push) on the user's terminal: a line per layer, redrawn in place; elsewhere only what happened."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scow.cli.command import Cli

from scow.cli import terminal
from scow.errors import ScowError
from scow.units import human_size

_ROWS_MAX = 500


def show(cli: Cli, lines: Iterable[dict[str, Any]], error_stream: bool = False, quiet: bool = False) -> None:
    """Writes the lines. Raises ScowError with the engine's error."""
    fd = 2 if error_stream else 1
    write = cli.err if error_stream else cli.out
    live = not quiet and terminal.is_terminal(fd)
    width = terminal.size(fd)[1] or 80
    rows: dict[str, int] = {}
    for line in lines:
        error = line.get("error") or (line.get("errorDetail") or {}).get("message")
        if error:
            raise ScowError(str(error))
        if quiet or line.get("aux"):
            continue
        write(_live(line, rows, width) if live else _plain(line))
        if live and not error_stream:
            cli.flush()


def _plain(line: dict[str, Any]) -> str:
    detail = line.get("progressDetail") or {}
    if line.get("stream"):
        return str(line["stream"])
    if detail.get("current") or detail.get("total") or line.get("progress"):
        return ""
    status = str(line.get("status") or "")
    return (f"{line['id']}: {status}\n" if line.get("id") else f"{status}\n") if status else ""


def _live(line: dict[str, Any], rows: dict[str, int], width: int) -> str:
    ident = str(line.get("id") or "")
    detail = line.get("progressDetail")
    if not ident or detail is None:
        if ident:
            return f"{ident}: {line.get('status') or ''}\n"
        rows.clear()
        return str(line.get("stream") or f"{line.get('status') or ''}\n")
    new = ident not in rows
    if new and len(rows) < _ROWS_MAX:
        rows[ident] = len(rows)
    up = len(rows) - rows.get(ident, len(rows))
    text = f"{ident}: {line.get('status') or ''} {_bar(detail, width - len(ident) - len(str(line.get('status') or '')) - 4)}".rstrip()
    text = f"\x1b[2K\r{text[: max(width, 20)]}"
    if new:
        return text + "\n"
    return f"\x1b[{up}A{text}\r\x1b[{up}B"


def _bar(detail: dict[str, Any], room: int) -> str:
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if not current and not total:
        return ""
    if not total:
        return human_size(current)
    numbers = f"{human_size(current)}/{human_size(total)}"
    cells = min(50, room - len(numbers) - 4)
    if cells < 10:
        return numbers
    done = min(current * cells // total, cells)
    arrow = "=" * done + (">" if done < cells else "")
    return f"[{arrow:<{cells}}]  {numbers}"
