"""Credentials of registries: docker's config.json (`auths`), and the helper programs it names (`credsStore`, `credHelpers`)."""

import base64
import json
import os
import re
import subprocess
from typing import Any

from scow.cli.command import Cli
from scow.errors import ScowError

HUB = "https://index.docker.io/v1/"
_ANSWER_MAX = 1 << 20
_TIMEOUT = 120
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_NOT_FOUND = "credentials not found"


def key_of(domain: str) -> str:
    """The name credentials are kept under: that of the registry, the Hub's old address for the Hub."""
    return HUB if domain in ("docker.io", "index.docker.io") else domain


def server_key(server: str) -> str:
    """The same for what a user types to `login`."""
    host = server.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return HUB if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io") else host


def _helper(cli: Cli, key: str) -> str:
    helpers = cli.config.get("credHelpers")
    if isinstance(helpers, dict) and isinstance(helpers.get(key), str):
        name = str(helpers[key])
    else:
        name = cli.setting("credsStore")
    if name and not _HELPER.match(name):
        raise ScowError(f"invalid credential helper name {name!r}")
    return name


def _run(name: str, verb: str, text: str) -> str:
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run([program, verb], input=text.encode(), capture_output=True, timeout=_TIMEOUT, check=False)
    except FileNotFoundError:
        raise ScowError(f'error getting credentials - err: exec: "{program}": executable file not found in $PATH') from None
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ScowError(f"error getting credentials - err: {exc}") from None
    output = done.stdout[:_ANSWER_MAX].decode("utf-8", "replace").strip()
    if done.returncode:
        if _NOT_FOUND in output:
            return ""
        raise ScowError(f"error {verb}ing credentials - err: exit status {done.returncode}, out: `{output[:300]}`")
    return output


def get(cli: Cli, key: str) -> dict[str, str]:
    """The AuthConfig kept for a registry, {} when there is none. Raises ScowError."""
    helper = _helper(cli, key)
    if helper:
        answer = _run(helper, "get", key)
        if not answer:
            return {}
        try:
            found = json.loads(answer)
            user, secret = str(found["Username"]), str(found["Secret"])
        except (ValueError, KeyError, TypeError):
            raise ScowError(f"docker-credential-{helper} gave no credentials") from None
        if user == "<token>":
            return {"identitytoken": secret, "serveraddress": key}
        return {"username": user, "password": secret, "serveraddress": key}
    auths = cli.config.get("auths")
    row = auths.get(key) if isinstance(auths, dict) else None
    if row is None and isinstance(auths, dict):
        row = next((value for name, value in auths.items() if server_key(name) == key), None)
    if not isinstance(row, dict):
        return {}
    found = {name: str(row[name]) for name in ("username", "password", "identitytoken", "registrytoken") if row.get(name)}
    if row.get("auth"):
        try:
            user, _, password = base64.b64decode(str(row["auth"])).decode().partition(":")
        except ValueError:
            raise ScowError("invalid auth configuration file") from None
        found |= {"username": user, "password": password.rstrip("\x00")}
    return {**found, "serveraddress": key} if found else {}


def header(cli: Cli, domain: str) -> str:
    """The X-Registry-Auth header for a registry."""
    return base64.urlsafe_b64encode(json.dumps(get(cli, key_of(domain))).encode()).decode()


def headers(cli: Cli, domain: str) -> dict[str, str]:
    """The header as request fields."""
    return {"X-Registry-Auth": header(cli, domain)}


def store(cli: Cli, key: str, auth: dict[str, str]) -> str:
    """Keep credentials; the file they are in as plain text, "" when a helper has them."""
    helper = _helper(cli, key)
    if helper:
        token = auth.get("identitytoken")
        body = {"ServerURL": key, "Username": "<token>" if token else auth.get("username", ""), "Secret": token or auth.get("password", "")}
        _run(helper, "store", json.dumps(body))
        _change(cli, lambda config: config.setdefault("auths", {}).update({key: {}}))
        return ""
    row: dict[str, str] = {}
    if auth.get("username"):
        row["auth"] = base64.b64encode(f"{auth['username']}:{auth.get('password', '')}".encode()).decode()
    if auth.get("identitytoken"):
        row["identitytoken"] = auth["identitytoken"]
    _change(cli, lambda config: config.setdefault("auths", {}).update({key: row}))
    return f"{cli.config_dir}/config.json"


def erase(cli: Cli, key: str) -> None:
    """Forget credentials; absent is fine."""
    helper = _helper(cli, key)
    if helper:
        _run(helper, "erase", key)

    def drop(config: dict[str, Any]) -> None:
        auths = config.get("auths")
        if isinstance(auths, dict):
            for name in [name for name in auths if name == key or server_key(name) == key]:
                del auths[name]

    _change(cli, drop)


def known(cli: Cli, key: str) -> bool:
    """Whether the configuration has an entry for the registry."""
    auths = cli.config.get("auths")
    return isinstance(auths, dict) and any(name == key or server_key(name) == key for name in auths)


def _change(cli: Cli, change: Any) -> None:
    """Rewrite config.json as a whole: it is never there half, and only its owner reads it."""
    path = os.path.realpath(f"{cli.config_dir}/config.json")
    config = dict(cli.config)
    if isinstance(config.get("auths"), dict):
        config["auths"] = dict(config["auths"])
    elif "auths" in config:
        del config["auths"]
    change(config)
    temporary = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w") as file:
            json.dump(config, file, indent="\t")
        os.replace(temporary, path)
    except OSError as exc:
        raise ScowError(f"Error saving credentials: {(exc.strerror or str(exc)).lower()}: {path}") from None
    cli.reload()
