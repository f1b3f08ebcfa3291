"""`scow login`, `logout` and `search`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

import sys

from scow.cli import terminal
from scow.cli.command import Command
from scow.cli.format.table import ellipsis, parse_filters, show
from scow.client.api import filters_param
from scow.errors import ScowError

_PASSWORD_MAX = 64 << 10
_HEADERS = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
    "IsAutomated": "AUTOMATED",
}


def login(cli: Cli, options: Options, args: list[str]) -> int:
    """Checks credentials with a registry and keeps them."""
    from scow.cli import credentials

    server = args[0] if args else ""
    key = credentials.server_key(server)
    user, password = options.text("username"), options.text("password")
    if options.flag("password-stdin"):
        if password:
            raise ScowError("conflicting options: cannot specify both --password and --password-stdin")
        if not user:
            raise ScowError("the --password-stdin option requires --username to be set")
        password = sys.stdin.buffer.read(_PASSWORD_MAX).decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    elif password:
        cli.err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    auth = {"username": user, "password": password, "serveraddress": key}
    known = credentials.get(cli, key) if not user and not password else {}
    if known.get("username") or known.get("identitytoken"):
        shown = f" [Username: {known['username']}]" if known.get("username") else ""
        cli.out(f"Authenticating with existing credentials...{shown}\n")
        try:
            return _finish(cli, key, known)
        except ScowError as exc:
            cli.err(f"Login did not succeed, error: {exc.message}\n")
    if not user or not password:
        auth["username"], auth["password"] = _ask(user, password, known.get("username", ""))
    return _finish(cli, key, auth)


def _ask(user: str, password: str, default: str) -> tuple[str, str]:
    if not terminal.is_terminal(0):
        raise ScowError("Error: Cannot perform an interactive login from a non TTY device")
    if not user:
        sys.stdout.write(f"Username{f' ({default})' if default else ''}: ")
        sys.stdout.flush()
        user = sys.stdin.readline().strip() or default
        if not user:
            raise ScowError("Error: Non-null Username Required")
    if not password:
        from getpass import getpass

        password = getpass("Password: ")
        if not password:
            raise ScowError("Error: Password Required")
    return user, password


def _finish(cli: Cli, key: str, auth: dict[str, str]) -> int:
    from scow.cli import credentials

    answer = cli.client.post("/auth", None, {**auth, "serveraddress": key}) or {}
    token = answer.get("IdentityToken") or ""
    kept = {"username": auth.get("username", ""), "identitytoken": token} if token else dict(auth)
    place = credentials.store(cli, key, kept)
    if place:
        cli.err(f"WARNING! Your password will be stored unencrypted in {place}.\nConfigure a credential helper to remove this warning.\n\n")
    cli.out(f"{answer.get('Status') or 'Login Succeeded'}\n")
    return 0


def logout(cli: Cli, options: Options, args: list[str]) -> int:
    """Forgets the credentials of a registry."""
    from scow.cli import credentials

    key = credentials.server_key(args[0] if args else "")
    if not credentials.known(cli, key) and not cli.setting("credsStore") and key not in (cli.config.get("credHelpers") or {}):
        cli.out(f"Not logged in to {key}\n")
        return 0
    cli.out(f"Removing login credentials for {key}\n")
    credentials.erase(cli, key)
    return 0


def search(cli: Cli, options: Options, args: list[str]) -> int:
    """Searches a registry."""
    from scow.cli import credentials
    from scow.fastjson import loads

    term = args[0]
    first, sep, _ = term.partition("/")
    domain = first if sep and ("." in first or ":" in first or first == "localhost") else "docker.io"
    params = {"term": term, "limit": options.number("limit") or None, "filters": filters_param(parse_filters(options.list("filter")))}
    found = loads(cli.client.call("GET", "/images/search", params, headers=credentials.headers(cli, domain)).read()) or []
    trunc = not options.flag("no-trunc")
    rows = []
    for one in sorted(found, key=lambda row: -(row.get("star_count") or 0)):
        text = " ".join(str(one.get("description") or "").split())
        rows.append(
            {
                "Description": ellipsis(text, 45) if trunc else text,
                "IsAutomated": "[OK]" if one.get("is_automated") else "",
                "IsOfficial": "[OK]" if one.get("is_official") else "",
                "Name": one.get("name") or "",
                "StarCount": str(one.get("star_count") or 0),
            }
        )
    show(rows, options.text("format"), _HEADERS, ["Name", "Description", "StarCount", "IsOfficial"])
    return 0


LOGIN = Command(
    " [OPTIONS] [SERVER]",
    "Authenticate to a registry (the Docker Hub by default)",
    (
        ("password", "p", "string", "", "Password or token"),
        ("password-stdin", "", "bool", False, "Take the password from stdin"),
        ("username", "u", "string", "", "Name of the user"),
    ),
    login,
    0,
    1,
)
LOGOUT = Command(" [SERVER]", "Log out from a registry (the Docker Hub by default)", (), logout, 0, 1)
SEARCH = Command(
    " [OPTIONS] TERM",
    "Search a registry for images",
    (
        ("filter", "f", "filter", (), "Show only what meets a condition (stars=3, is-official=true)"),
        ("format", "", "string", "", "Pretty-print with a Go template"),
        ("limit", "", "int", 0, "At most so many results"),
        ("no-trunc", "", "bool", False, "Don't shorten"),
    ),
    search,
    1,
    1,
)
