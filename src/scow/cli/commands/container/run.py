"""`scow run` and `scow create`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options
    from scow.client.api import Client
    from scow.client.transport import Response

from scow.cli import terminal
from scow.cli.command import Command, ExitCode
from scow.cli.commands.container import interactive, request
from scow.cli.flags import UsageError
from scow.client.api import container_path
from scow.client.transport import ApiError
from scow.errors import ScowError

PULL = ("always", "missing", "never")


def _lookup(cli: Cli) -> Any:
    import posix

    def look(name: str) -> str | None:
        value = posix.environ.get(name.encode("utf-8", "surrogateescape"))
        return None if value is None else value.decode("utf-8", "surrogateescape")

    return look


def create(cli: Cli, options: Options, args: list[str], verb: str) -> tuple[str, dict[str, Any]]:
    """Creates the container, pulling its image where needed; (id, body). Raises ExitCode."""
    pull = options.text("pull")
    if pull not in PULL:
        raise ExitCode(
            125,
            f'scow: invalid pull option: \'{pull}\': must be one of "always", "missing" or "never"\n\n'
            f"Run 'scow {verb} --help' for more information",
        )
    try:
        if not args[0].strip():
            raise ScowError("invalid reference format")
        body = request.build(options, args, _lookup(cli))
    except UsageError:
        raise
    except ScowError as exc:
        raise interactive.failure(exc, verb, 125) from None
    _proxies(cli, body)
    if options.flag("detach"):
        body.update({"AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "StdinOnce": False})
    if body.get("Tty") and terminal.is_terminal(1):
        body["HostConfig"]["ConsoleSize"] = list(terminal.size())
    platform = options.text("platform") or cli.env("DOCKER_DEFAULT_PLATFORM")
    params = {"name": options.text("name") or None, "platform": platform or None}
    cid_file = _CidFile(options.text("cidfile"), verb)
    client = cli.client
    try:
        if platform:
            from scow.opts.checks import platform as check

            check(platform)
        if pull == "always":
            _pull(cli, args[0], platform, options.flag("quiet"))
        try:
            answer = _post(client, params, body)
        except ApiError as exc:
            if exc.status != 404 or pull != "missing" or "No such image" not in exc.message:
                raise
            if not options.flag("quiet"):
                name = args[0] if ":" in args[0].rpartition("/")[2] or "@" in args[0] else args[0] + ":latest"
                cli.err(f"Unable to find image '{name}' locally\n")
            _pull(cli, args[0], platform, options.flag("quiet"))
            answer = _post(client, params, body)
    except ScowError as exc:
        cid_file.drop()
        raise interactive.failure(exc, verb, 125) from None
    except KeyboardInterrupt:
        cid_file.drop()
        raise
    ident: str = answer["Id"]
    try:
        for warning in answer.get("Warnings") or []:
            cli.err(f"WARNING: {warning}\n")
        cid_file.write(ident)
    except KeyboardInterrupt:
        _forget(cli.redial(), ident)
        raise
    return ident, body


class _CidFile:
    """--cidfile: made before the container, so that what can't be written is said before there is one; gone again if there is none."""

    def __init__(self, path: str, verb: str) -> None:
        """Raises ExitCode where it exists, or can't be made. "" is no file."""
        self.path = path
        if not path:
            return
        import posix

        try:
            posix.close(posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644))
        except FileExistsError:
            text = f"container ID file found, make sure the other container isn't running or delete {path}"
            raise interactive.failure(ScowError(text), verb, 125) from None
        except (OSError, ValueError) as exc:
            why = exc.strerror.lower() if isinstance(exc, OSError) and exc.strerror else str(exc)
            code = 127 if isinstance(exc, FileNotFoundError) else 126 if isinstance(exc, PermissionError) else 125
            raise interactive.failure(ScowError(f"failed to create the container ID file: open {path}: {why}"), verb, code) from None

    def write(self, ident: str) -> None:
        """Writes the id."""
        if self.path:
            with open(self.path, "w") as file:
                file.write(ident)

    def drop(self) -> None:
        """There is no container."""
        if self.path:
            import posix

            posix.unlink(self.path)


_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def _proxies(cli: Cli, body: dict[str, Any]) -> None:
    """Adds the proxies that the configuration file names for this engine, where --env has none of that name."""
    configured = cli.config.get("proxies")
    if not isinstance(configured, dict) or not configured:
        return
    chosen = configured.get(cli.client.transport.endpoint.url) or configured.get("default")
    if not isinstance(chosen, dict):
        return
    given = {word.partition("=")[0] for word in body.get("Env") or []}
    added = []
    for key, name in _PROXIES.items():
        value = chosen.get(key)
        if isinstance(value, str) and value:
            added += [f"{one}={value}" for one in (name, name.lower()) if one not in given]
    if added:
        body["Env"] = [*(body.get("Env") or []), *added]


def _post(client: Client, params: dict[str, Any], body: dict[str, Any]) -> Any:
    """Creates the container. Ctrl-C waits for the answer and then removes what was made; a second one does not wait."""
    import _signal  # type: ignore[import-not-found]  # signal itself imports enum

    pressed: list[int] = []

    def note(number: int, _frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    try:
        old = _signal.signal(2, note)
    except ValueError:  # not the main thread: interrupts go elsewhere
        return client.post("/containers/create", params, body)
    try:
        answer = client.post("/containers/create", params, body)
    finally:
        _signal.signal(2, old if old is not None else _signal.SIG_DFL)
    if pressed:
        _forget(client, answer["Id"])
        raise KeyboardInterrupt
    return answer


def _forget(client: Client, ident: str) -> None:
    """Removes a container that never came to run."""
    try:
        client.delete(container_path(ident), {"force": True, "v": True})
    except (ScowError, OSError):
        pass


def _pull(cli: Cli, image: str, platform: str, quiet: bool) -> None:
    from scow.cli.commands.image.transfer import pull_image
    from scow.reference import Reference

    try:
        pull_image(cli, Reference.parse(image).tagged(), platform, quiet, error_stream=True)
    except ApiError:
        raise
    except ScowError as exc:
        raise ScowError(f"Error response from daemon: {exc.message}") from None


def run_create(cli: Cli, options: Options, args: list[str]) -> int:
    """`scow create`: prints the id."""
    ident, _ = create(cli, options, args, "create")
    cli.out(ident + "\n")
    return 0


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """`scow run`: the container's exit code is ours."""
    detach = options.flag("detach")
    if detach and options.list("attach"):
        raise ExitCode(1, "conflicting options: cannot specify both --attach and --detach")
    tty = options.flag("tty")
    stdin = "stdin" in {word.lower() for word in options.list("attach")} if options.list("attach") else options.flag("interactive")
    try:
        text, keys = interactive.detach_keys(cli, options.text("detach-keys"))
    except ScowError as exc:
        raise interactive.failure(exc, "run", 125) from None
    if not detach:
        interactive.check_terminal(stdin, tty)
    ident, body = create(cli, options, args, "run")
    client = cli.client
    path = container_path(ident)
    if detach:
        try:
            client.post(f"{path}/start")
        except ScowError as exc:
            raise interactive.failure(exc, "run", interactive.start_status(exc)) from None
        except KeyboardInterrupt:
            _forget(cli.redial(), ident)
            raise
        cli.out(ident + "\n")
        return 0
    started: list[bool] = []
    try:
        return _attached(cli, options, ident, body, text, keys, started)
    except KeyboardInterrupt:
        if not started:
            _forget(cli.redial(), ident)
        raise


def _attached(cli: Cli, options: Options, ident: str, body: dict[str, Any], text: str, keys: bytes, started: list[bool]) -> int:
    """Joins the container's streams; `started` gets an element once it runs."""
    from scow.cli.streams import Signals

    tty = options.flag("tty")
    stdin, stdout, stderr = body["AttachStdin"], body["AttachStdout"], body["AttachStderr"]
    path = container_path(ident)
    side = cli.redial()
    conn = None
    if not stdout and not stderr:
        cli.out(ident + "\n")
    waiting: Response
    params: dict[str, Any] = {"stream": True, "stdin": stdin, "stdout": stdout, "stderr": stderr, "detachKeys": text or None}
    condition = "removed" if options.flag("rm") else "next-exit"
    try:
        if stdin or stdout or stderr:
            conn, _ = cli.client.hijack(f"{path}/attach", params)
        waiting = interactive.wait_begun(cli.redial(), ident, condition)
    except ScowError as exc:
        raise interactive.failure(exc, "run", 125) from None
    kill = interactive.killer(cli, ident)

    def proxy(name: str) -> None:
        if started:
            kill(name)
        elif name in ("INT", "TERM"):
            raise KeyboardInterrupt

    send = proxy if options.flag("sig-proxy") and not tty else None
    with Signals(send, (lambda: interactive.resize(cli.redial(), path)) if tty else None):
        try:
            side.post(f"{path}/start")
        except ScowError as exc:
            if conn is not None:
                conn.close()
            if options.flag("rm"):
                try:
                    waiting.read()
                except (ScowError, OSError):
                    pass
            raise interactive.failure(exc, "run", interactive.start_status(exc)) from None
        started.append(True)
        if tty and terminal.is_terminal(1):
            interactive.resize(side, path)
        return interactive.joined(cli, ident, conn, params, tty, keys, waiting, condition)


CREATE = Command(" [OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container", request.FLAGS, run_create, 1, -1, interspersed=False)
RUN = Command(
    " [OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create and run a new container from an image",
    (
        *request.FLAGS,
        ("detach", "d", "bool", False, "Run in the background and print the container's id"),
        ("detach-keys", "", "string", "", "Keys that detach from the container"),
        ("sig-proxy", "", "bool", True, "Hand received signals to the process"),
    ),
    run,
    1,
    -1,
    interspersed=False,
    error_code=125,
)
