"""`scow registry serve` and what is done to a registry's directory beside it: `gc`, `retention`, `user`, `token`.

These commands are the registry server's own program: they work on its directory (also while it runs), not through an engine.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scow.cli.command import Cli
    from scow.cli.flags import Flag, Options
    from scow.registryd.accounts import Grant
    from scow.registryd.store import Store

from scow.cli import libraries
from scow.cli.command import Command
from scow.errors import InvalidArgument, ScowError

ROOT = "/var/lib/scow-registry"
_PASSWORD_MAX = 4096
_ROOT_FLAG: tuple[Flag, ...] = (("root", "", "string", ROOT, "Directory of the registry"),)


def serve(cli: Cli, options: Options, args: list[str]) -> int:
    """Runs the server until it is told to stop."""
    import os

    from scow.registryd import options as settings
    from scow.registryd import serve as server

    made = settings.Options(
        root=_root(options),
        listen=tuple(options.list("listen")),
        url=options.text("url"),
        tls_certificate=options.text("tls-cert"),
        tls_key=options.text("tls-key"),
        tls_client_ca=options.text("tls-client-ca"),
        htpasswd=_path(options.text("htpasswd")),
        auth=_choice(options, "auth", ("", "basic", "token")),
        public=tuple(_pattern(text) for text in options.list("public")),
        anonymous_push=options.flag("anonymous-push"),
        allow_delete=options.flag("allow-delete"),
        max_blob=options.number("max-blob"),
        max_manifest=options.number("max-manifest"),
        max_connections=_count(options, "max-connections"),
        rate=_count(options, "rate"),
        trust_proxy=options.flag("trust-proxy"),
        upstreams=tuple(settings.parse_upstream(text) for text in options.list("upstream")),
        mirror=options.text("mirror"),
        upstream_config=_path(options.text("upstream-config")),
        insecure_upstreams=tuple(options.list("insecure-upstream")),
        mirror_seconds=_seconds(options, "upstream-check"),
        mirror_keep_seconds=_seconds(options, "upstream-keep"),
        gc_seconds=_seconds(options, "gc-interval"),
        grace_seconds=_seconds(options, "grace"),
        metrics=options.text("metrics"),
        log_level=_choice(options, "log-level", ("debug", "info", "warn", "error")),
        log_format=_choice(options, "log-format", ("text", "json")),
    )
    if bool(made.tls_certificate) != bool(made.tls_key) or (made.tls_client_ca and not made.tls_certificate):
        raise ScowError("TLS needs both --tls-cert and --tls-key")
    if made.mirror and made.mirror not in [one.prefix for one in made.upstreams]:
        raise ScowError("--mirror names an upstream that --upstream names, too")
    handed = cli.env("LISTEN_FDS") if cli.env("LISTEN_PID") == str(os.getpid()) else ""
    return server.main(made, int(handed) if handed.isdigit() else 0)


def gc(cli: Cli, options: Options, args: list[str]) -> int:
    """Removes what no manifest needs."""
    from scow.cli import terminal
    from scow.registryd import gc as collection
    from scow.units import human_size

    live = terminal.is_terminal(2)
    said = 0

    def report(progress: collection.Progress) -> None:
        nonlocal said
        done = progress.scanned * 20 // max(progress.total, 1)
        if live or done != said:
            said = done
            line = f"{progress.scanned} of {progress.total} blobs looked at, {progress.removed} removed"
            cli.err(f"\r{line}" if live else f"{line}\n")

    store = _open(options)
    try:
        result = collection.collect(store, float(_seconds(options, "grace")), report)
    finally:
        store.close()
    if live:
        cli.err("\n")
    cli.out(f"Removed {result.removed + result.strays} of {result.total} blobs, {human_size(result.bytes)}\n")
    return 0


def retention(cli: Cli, options: Options, args: list[str]) -> int:
    """Rules by which tags go."""
    from scow.cli.format.table import layout
    from scow.registryd import retention as rules
    from scow.units import human_duration

    verb, rest = args[0], args[1:]

    def age(seconds: int) -> str:
        return human_duration(seconds * 10**9) if seconds else "-"

    store = _open(options)
    try:
        table = rules.Rules(store.db)
        if verb == "add":
            _exactly(verb, rest, 1, "REPOSITORIES")
            rule = rules.Rule(
                0,
                rest[0],
                options.text("tags") or "**",
                options.text("except"),
                options.number("keep"),
                _seconds(options, "older-than"),
                _seconds(options, "unused"),
                _seconds(options, "untagged"),
            )
            cli.out(f"{table.add(rule)}\n")
        elif verb == "rm":
            _exactly(verb, rest, 1, "RULE")
            table.remove(int(rest[0]) if rest[0].isascii() and rest[0].isdigit() and len(rest[0]) < 16 else -1)
        elif verb == "ls":
            _exactly(verb, rest, 0, "")
            rows = [["RULE", "REPOSITORIES", "TAGS", "EXCEPT", "KEEP", "OLDER THAN", "UNUSED", "UNTAGGED"]]
            for one in table.all():
                ages = [age(one.older), age(one.unused), age(one.untagged)]
                rows.append([str(one.id), one.repositories, one.tags, one.spare or "-", str(one.keep or "-"), *ages])
            cli.out(layout(rows))
        elif verb == "apply":
            _exactly(verb, rest, 0, "")
            removals = list(rules.planned(store, table.all()))
            for removal in removals:
                what = f"{removal.repository}:{removal.tag}" if removal.tag else f"{removal.repository}@{removal.digest}"
                cli.out(f"{what}\t{removal.why}\n")
            if options.flag("dry-run"):
                cli.err(f"{len(removals)} would be removed\n")
            else:
                cli.err(f"{rules.apply(store, removals)} removed; `scow registry gc` frees their space\n")
        else:
            raise _unknown("retention", verb, "add, apply, ls, rm")
    finally:
        store.close()
    return 0


def user(cli: Cli, options: Options, args: list[str]) -> int:
    """Users and what they may do."""
    from scow.cli.format.table import layout

    verb, rest = args[0], args[1:]
    store = _open(options, create=verb == "add")
    try:
        accounts = store.accounts
        if verb == "add":
            _exactly(verb, rest, 1, "NAME")
            accounts.add(rest[0], _password(options), _grants(options.list("grant")))
        elif verb == "passwd":
            _exactly(verb, rest, 1, "NAME")
            accounts.change_password(rest[0], _password(options))
        elif verb == "grant":
            if len(rest) < 2:
                raise ScowError("scow registry user grant needs NAME PATTERN:VERB,…")
            accounts.grant(rest[0], _grants(rest[1:]))
        elif verb == "revoke":
            _exactly(verb, rest, 2, "NAME PATTERN")
            accounts.revoke(rest[0], rest[1])
        elif verb == "rm":
            _exactly(verb, rest, 1, "NAME")
            accounts.remove(rest[0])
            if not accounts.users():
                cli.err("That was the last user: what needed a name still does. `registry serve --public '**'` lets everybody pull.\n")
        elif verb == "ls":
            _exactly(verb, rest, 0, "")
            rows = [["USER", "TOKENS", "GRANTS"]]
            rows += [[name, str(tokens), " ".join(map(str, grants)) or "-"] for name, grants, tokens in accounts.users()]
            cli.out(layout(rows))
        else:
            raise _unknown("user", verb, "add, grant, ls, passwd, revoke, rm")
    finally:
        store.close()
    return 0


def token(cli: Cli, options: Options, args: list[str]) -> int:
    """Tokens that stand for a user's password."""
    from scow.cli.format.table import layout
    from scow.units import rfc3339nano

    verb, rest = args[0], args[1:]
    store = _open(options)
    try:
        accounts = store.accounts
        if verb == "create":
            _exactly(verb, rest, 1, "USER")
            identity, secret = accounts.create_token(rest[0], _grants(options.list("grant")), _seconds(options, "expires"))
            cli.err(f"Token {identity} of {rest[0]}; it is shown only now. Use it as the password.\n")
            cli.out(f"{secret}\n")
        elif verb == "ls":
            if len(rest) > 1:
                raise ScowError("scow registry token ls takes at most one USER")
            rows = [["TOKEN", "USER", "EXPIRES", "GRANTS"]]
            for one in accounts.tokens(rest[0] if rest else ""):
                expires = rfc3339nano(one.expires)[:19] + "Z" if one.expires else "never"
                rows.append([one.id, one.user, expires, " ".join(map(str, one.grants)) or "the user's"])
            cli.out(layout(rows))
        elif verb == "rm":
            _exactly(verb, rest, 1, "TOKEN")
            accounts.remove_token(rest[0])
        else:
            raise _unknown("token", verb, "create, ls, rm")
    finally:
        store.close()
    return 0


# --- pieces


def _root(options: Options) -> Path:
    from pathlib import Path

    return Path(options.text("root")).absolute()


def _path(text: str) -> Path | None:
    from pathlib import Path

    return Path(text).absolute() if text else None


def _open(options: Options, create: bool = False) -> Store:
    from scow.registryd.store import open_store

    root = _root(options)
    if not create and not (root / "catalog.db").exists():
        raise InvalidArgument(f"{root} holds no registry: name its directory with --root")
    return open_store(root)


def _seconds(options: Options, name: str) -> int:
    """A span of time: docker's durations, and days and weeks (`30d`, `2w`)."""
    from scow.units import parse_duration

    text = options.text(name).strip()
    if not text or text == "0":
        return 0
    number, unit = text[:-1], text[-1]
    if unit in "dw" and number.isascii() and number.isdigit() and len(number) < 6:
        return int(number) * (86400 if unit == "d" else 7 * 86400)
    try:
        found = parse_duration(text) // 10**9
    except ScowError:
        found = -1
    if found < 0:
        raise InvalidArgument(f"invalid --{name} {text!r}: a span of time is written 90s, 12h, 30d or 2w")
    return found


def _count(options: Options, name: str) -> int:
    found = options.number(name)
    if found < 0:
        raise InvalidArgument(f"--{name} is not negative")
    return found


def _choice(options: Options, name: str, known: tuple[str, ...]) -> str:
    found = options.text(name)
    if found not in known:
        raise InvalidArgument(f"--{name} is one of {', '.join(one for one in known if one)}")
    return found


def _pattern(text: str) -> str:
    from scow.registryd.names import check_pattern

    return check_pattern(text)


def _grants(texts: list[str]) -> list[Grant]:
    from scow.registryd.accounts import parse_grant

    return [parse_grant(text) for text in texts]


def _password(options: Options) -> str:
    import sys

    from scow.cli import terminal

    if options.flag("password-stdin"):
        return sys.stdin.buffer.read(_PASSWORD_MAX).decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not terminal.is_terminal(0):
        raise ScowError("there is no terminal to ask for the password: use --password-stdin")
    from getpass import getpass

    first = getpass("Password: ")
    if getpass("Again: ") != first:
        raise ScowError("the two passwords differ")
    return first


def _exactly(verb: str, rest: list[str], count: int, words: str) -> None:
    if len(rest) != count:
        raise ScowError(f"{verb} takes {words or 'no arguments'}")


def _unknown(group: str, verb: str, known: str) -> ScowError:
    return ScowError(f"scow registry {group} has no {verb!r}: it has {known}")


def _program(run: Callable[[Cli, Options, list[str]], int]) -> Callable[[Cli, Options, list[str]], int]:
    def program(cli: Cli, options: Options, args: list[str]) -> int:
        libraries.load()
        return run(cli, options, args)

    return program


def _command(
    usage: str, short: str, flags: tuple[Flag, ...], run: Callable[[Cli, Options, list[str]], int], least: int, most: int
) -> Command:
    return Command(usage, short, (*_ROOT_FLAG, *flags), _program(run), least, most)


_GRACE: Flag = (
    "grace",
    "",
    "string",
    "1h",
    "Keep blobs that were uploaded or asked for within this time: their manifest may be on its way",
)
_GRANT: Flag = ("grant", "", "list", (), "Allow verbs (pull, push, delete, *) where a pattern fits: 'team/**:pull,push'")

SERVE = _command(
    " [OPTIONS]",
    "Serve a registry from a directory",
    (
        ("allow-delete", "", "bool", False, "Allow deletes, to those who have that verb"),
        ("anonymous-push", "", "bool", False, "Let everybody push (and delete, with --allow-delete)"),
        ("auth", "", "string", "", "How clients log in: basic, or token (the default where something is --public)"),
        ("gc-interval", "", "string", "24h", "Time between garbage collections with retention (0: none)"),
        _GRACE,
        ("htpasswd", "", "string", "", "File of users (bcrypt) who may do everything, beside those of `scow registry user`"),
        ("insecure-upstream", "", "list", (), "Upstream that may speak plain HTTP or has a certificate nobody knows"),
        ("listen", "l", "list", ("127.0.0.1:5000",), "Address to listen on; :5000 means every address"),
        ("log-format", "", "string", "text", "Format of the log (text, json)"),
        ("log-level", "", "string", "info", "Least level to log (debug, info, warn, error)"),
        ("max-blob", "", "bytes", 0, "Largest blob taken (0: any)"),
        ("max-connections", "", "int", 4096, "Connections at a time (0: any)"),
        ("max-manifest", "", "bytes", 4 << 20, "Largest manifest taken"),
        ("metrics", "", "string", "", "Address for Prometheus metrics"),
        ("mirror", "", "string", "", "Upstream where images without a prefix that are not here are looked for"),
        ("public", "", "list", (), "Pattern of repositories that everybody may pull, although there are users ('**': all)"),
        ("rate", "", "int", 0, "Requests a second for each client address (0: any)"),
        ("tls-cert", "", "string", "", "TLS certificate (with its chain)"),
        ("tls-client-ca", "", "string", "", "Only serve clients with a certificate of this authority"),
        ("tls-key", "", "string", "", "Key of the TLS certificate"),
        ("trust-proxy", "", "bool", False, "A proxy is in front: believe its X-Forwarded-For and X-Forwarded-Proto"),
        ("upstream", "", "list", (), "Registry to cache: docker.io, or PREFIX=REGISTRY; its images are served as PREFIX/…"),
        ("upstream-check", "", "string", "5m", "Time after which a cached tag is compared with upstream"),
        ("upstream-config", "", "string", "", "Credentials for upstreams, as in ~/.docker/config.json"),
        ("upstream-keep", "", "string", "30d", "Drop cached images that nobody pulled for this time (0: keep)"),
        ("url", "", "string", "", "How clients reach the server, where the Host header does not say it"),
    ),
    serve,
    0,
    0,
)
GC = _command(" [OPTIONS]", "Remove blobs that no manifest needs, also while the server runs", (_GRACE,), gc, 0, 0)
RETENTION = _command(
    " [OPTIONS] add REPOSITORIES | apply | ls | rm RULE",
    "Manage the rules by which tags are removed",
    (
        ("dry-run", "", "bool", False, "apply: only print what would go"),
        ("except", "", "string", "", "add: pattern of tags that the rule leaves alone"),
        ("keep", "", "uint", 0, "add: keep the newest so many tags"),
        ("older-than", "", "string", "", "add: remove only tags pushed before this time (30d, 12h)"),
        ("tags", "", "string", "**", "add: pattern of the tags it is about"),
        ("untagged", "", "string", "", "add: remove manifests that have had no tag for this time"),
        ("unused", "", "string", "", "add: remove only what nobody pulled for this time"),
    ),
    retention,
    1,
    2,
)
USER = _command(
    " [OPTIONS] add NAME | grant NAME GRANT... | ls | passwd NAME | revoke NAME PATTERN | rm NAME",
    "Manage the users of a registry",
    (_GRANT, ("password-stdin", "", "bool", False, "Take the password from stdin")),
    user,
    1,
    -1,
)
TOKEN = _command(
    " [OPTIONS] create USER | ls [USER] | rm TOKEN",
    "Manage tokens that stand for a user's password",
    (("expires", "", "string", "", "create: time until it ends (90d); never by default"), _GRANT),
    token,
    1,
    2,
)
