"""Which engine a command talks to, and how: from flags, environment and context to a client. Called by `main.py`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options
    from scow.client.api import Client

from scow.cli.environment import default_host, env, exists
from scow.errors import ScowError


def _headers(cli: Cli) -> dict[str, str]:
    """Headers for every request: HttpHeaders of the configuration, or DOCKER_CUSTOM_HEADERS (`name=value,…`) in their place."""
    custom = env("DOCKER_CUSTOM_HEADERS")
    if custom:
        pairs = [one.partition("=") for one in custom.split(",")]
        if any(not name.strip() or not sep for name, sep, _ in pairs):
            raise ScowError("failed to parse custom headers from DOCKER_CUSTOM_HEADERS: they are written as name=value,name=value")
        found = {name.strip(): value for name, _, value in pairs}
    else:
        headers = cli.config.get("HttpHeaders")
        found = {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
    where = "DOCKER_CUSTOM_HEADERS" if custom else f"HttpHeaders of {cli.config_dir}/config.json"
    for name, value in found.items():
        if not name or any(not (char.isascii() and (char.isalnum() or char in "!#$%&'*+-.^_`|~")) for char in name):
            raise ScowError(f"error during connect: invalid header field name {name!r}: correct {where}")
        if any((char < " " and char != "\t") or char == "\x7f" for char in value):
            raise ScowError(f"error during connect: invalid header field value for {name!r}: correct {where}")
    return {k: v for k, v in found.items() if k.lower() not in ("user-agent", "host", "content-length", "transfer-encoding")}


def make_client(options: Options, cli: Cli) -> Client:
    """The client for the host that flags, environment and context name. Raises ScowError."""
    from scow.client.api import Client
    from scow.client.endpoint import Endpoint

    hosts = options.list("host")
    if len(hosts) > 1:
        raise ScowError("specify only one -H")
    if hosts and options.text("context"):
        raise ScowError("conflicting options: cannot specify both --host and --context")
    url = hosts[0] if hosts else ""
    tls_files: tuple[str, str, str, bool] | None = None
    if not url and not options.text("context"):
        url = env("SCOW_HOST") or env("DOCKER_HOST")
    if not url and cli.context != "default":
        from scow.cli.contexts import endpoint_of

        try:
            url, tls_files = endpoint_of(cli.config_dir, cli.context)
        except ScowError as exc:
            raise ScowError(f"Failed to initialize: unable to resolve docker endpoint: {exc.message}") from None
    url = url or default_host()
    extra = _headers(cli)
    tls = None
    verify = options.flag("tlsverify") or (not options.given("tlsverify") and env("DOCKER_TLS_VERIFY") != "")
    if tls_files is not None or options.flag("tls") or verify or env("DOCKER_TLS"):
        from scow.client.endpoint import TLS

        folder = env("DOCKER_CERT_PATH") or cli.config_dir
        named = any(options.given(flag) for flag in ("tlscacert", "tlscert", "tlskey"))
        empty = not any(exists(f"{folder}/{name}.pem") for name in ("ca", "cert", "key"))
        if env("DOCKER_CERT_PATH") and tls_files is None and empty and not named and url.startswith(("tcp", "http")):
            raise ScowError(f"DOCKER_CERT_PATH={folder}: there is no ca.pem, cert.pem or key.pem: correct it, or unset it")
        if tls_files is not None:
            tls = TLS(*tls_files)
        else:
            chosen = [options.text(f"tls{kind}") or (f"{folder}/{kind.replace('cacert', 'ca')}.pem") for kind in ("cacert", "cert", "key")]
            ca, cert, key = (
                path if options.given(flag) or exists(path) else ""
                for path, flag in zip(chosen, ("tlscacert", "tlscert", "tlskey"), strict=True)
            )
            tls = TLS(ca, cert, key, verify)
    version = env("DOCKER_API_VERSION")
    major, _, minor = version.removeprefix("v").partition(".")
    if version and not (version.isascii() and major.isdigit() and minor.isdigit()):
        raise ScowError(f"DOCKER_API_VERSION={version!r} is no API version: write it as 1.47, or unset it to use the engine's newest")
    return Client(Endpoint(url, tls if url.startswith(("tcp", "http")) else None), version, extra)
