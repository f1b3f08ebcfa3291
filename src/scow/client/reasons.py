"""Why an engine could not be reached: the address that was tried, the cause, and what to do. Pure; imported only after a failure."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.client.endpoint import Endpoint

_CHOOSE = "or choose another engine with -H, DOCKER_HOST or `scow context use`."


def why(endpoint: Endpoint, exc: OSError) -> str:
    """The address that was tried, why it failed, and what to do."""
    where = f"{endpoint.host}:{endpoint.port}"
    if endpoint.kind == "unix" and isinstance(exc, PermissionError):
        return (
            f"permission denied while trying to connect to the Docker daemon socket at {endpoint.url}: "
            "run as root, or as a member of the group that owns the socket"
        )
    text = f"Cannot connect to the Docker daemon at {endpoint.url}. Is the docker daemon running?"
    name = type(exc).__name__
    if endpoint.kind == "unix":
        if isinstance(exc, FileNotFoundError):
            return f"{text}\nThere is no such socket: start the engine (`scowd`, or `make run`), {_CHOOSE}"
        if isinstance(exc, ConnectionRefusedError):
            return f"{text}\nThe socket is there, nobody listens on it: start the engine (`scowd`, or `make run`), {_CHOOSE}"
        return f"{text} ({exc.strerror or exc})"
    if endpoint.kind == "ssh":
        return f"{text} (ssh: {exc.strerror or exc})\nIs ssh installed here?"
    if "certificate verify failed" in str(exc):
        reason = getattr(exc, "verify_message", "") or str(exc)
        return (
            f"error during connect: {endpoint.url}: the engine's certificate is not trusted: {reason}\n"
            "Name the authority that signed it with --tlscacert, or in DOCKER_CERT_PATH or the context."
        )
    if name.startswith("SSL"):
        reason = (getattr(exc, "reason", None) or str(exc)).replace("_", " ").lower()
        hint = (
            "The engine wants a certificate of yours: --tlscert and --tlskey, DOCKER_CERT_PATH, or a context's."
            if "alert" in reason
            else "Does the engine speak TLS on that port?"
        )
        return f"error during connect: {endpoint.url}: TLS: {reason}\n{hint}"
    if isinstance(exc, ConnectionRefusedError):
        return f"{text}\nNothing listens on {where}: start the engine with -H {endpoint.url}, {_CHOOSE}"
    if name == "gaierror":
        return f"{text}\nThe name {endpoint.host} is not known ({exc.strerror}): correct it, {_CHOOSE}"
    if isinstance(exc, TimeoutError):
        return f"{text}\n{where} does not answer: is there a firewall between? Or {_CHOOSE.removeprefix('or ')}"
    return f"{text} ({exc.strerror or exc})"
