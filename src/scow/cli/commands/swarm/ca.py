"""`scow swarm ca`: the swarm's root certificate, and its rotation."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.commands.swarm.swarm import external_cas, update_swarm
from scow.cli.flags import every
from scow.errors import ScowError
from scow.opts.swarm import read_pem

EVERY = 0.2  # seconds between two looks


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the root certificate; with --rotate, makes a new one and waits until all nodes have it."""
    cert = every("--ca-cert", [options.text("ca-cert")] if options.given("ca-cert") else [], read_pem)
    key = every("--ca-key", [options.text("ca-key")] if options.given("ca-key") else [], read_pem)
    cas = external_cas(options)
    swarm = cli.client.get("/swarm")
    if not options.flag("rotate"):
        for flag in ("ca-cert", "ca-key", "cert-expiry", "external-ca"):
            if options.given(flag):
                raise ScowError(f"`--{flag}` flag requires the `--rotate` flag to update the CA")
        return _show(cli, swarm)
    if cert and not key and not cas:
        raise ScowError("the --ca-cert flag requires that a --ca-key flag and/or --external-ca flag be provided as well")
    if cas and not cert:
        raise ScowError(
            "rotating to an external CA requires the `--ca-cert` flag to specify the external CA's cert - to add an external CA with the "
            "current root CA certificate, use the `update` command instead"
        )
    spec = swarm.get("Spec") or {}
    config: dict[str, Any] = spec.setdefault("CAConfig", {})
    if options.given("cert-expiry"):
        config["NodeCertExpiry"] = options.number("cert-expiry")
    if cas:
        config["ExternalCAs"] = cas
    if cert:
        config["SigningCACert"] = cert[0]
    if key:
        config["SigningCAKey"] = key[0]
    if not cert and not key:
        config["ForceRotate"] = (config.get("ForceRotate") or 0) + 1
    update_swarm(cli, swarm, spec)
    if options.flag("detach"):
        return 0
    _wait(cli, options.flag("quiet"))
    return 0 if options.flag("quiet") else _show(cli, cli.client.get("/swarm"))


def _show(cli: Cli, swarm: dict[str, Any]) -> int:
    root = (swarm.get("TLSInfo") or {}).get("TrustRoot") or ""
    if not root:
        raise ScowError("No CA information available")
    cli.out(root.strip() + "\n")
    return 0


def _wait(cli: Cli, quiet: bool) -> None:
    """Shows how many nodes have certificates of the new root, until all have."""
    import hashlib
    import time

    from scow.cli.commands.service.display import Display

    display = Display(cli, quiet)
    while True:
        swarm = cli.client.get("/swarm")
        nodes = cli.client.get("/nodes") or []
        root = (swarm.get("TLSInfo") or {}).get("TrustRoot") or ""
        signed, trusting, done = progress(swarm, nodes)
        display.line("desired root digest", "sha256:" + hashlib.sha256(root.encode()).hexdigest())
        display.bar("rotated TLS certificates", f"{signed}/{len(nodes)} nodes", signed, len(nodes))
        display.bar("rotated CA certificates", f"{trusting}/{len(nodes)} nodes", trusting, len(nodes))
        if done:
            display.end()
            return
        time.sleep(EVERY)


def progress(swarm: dict[str, Any], nodes: list[dict[str, Any]]) -> tuple[int, int, bool]:
    """Nodes with a certificate of the wanted root, nodes that believe it, whether that is all. Nobody believes only the new root while
    the exchange lasts."""
    wanted = swarm.get("TLSInfo") or {}
    told = [(node.get("Description") or {}).get("TLSInfo") or {} for node in nodes]
    issuer = ("CertIssuerPublicKey", "CertIssuerSubject")
    signed = sum(all(one.get(key) == wanted.get(key) for key in issuer) for one in told)
    if signed < len(nodes) or swarm.get("RootRotationInProgress"):
        return signed, 0, False
    trusting = sum(one.get("TrustRoot") == wanted.get("TrustRoot") for one in told)
    return signed, trusting, trusting == len(nodes)


CA = Command(
    " [OPTIONS]",
    "Display and rotate the root CA",
    (
        ("ca-cert", "", "string", "", "File of a root certificate for the swarm"),
        ("ca-key", "", "string", "", "File of the root certificate's key"),
        ("cert-expiry", "", "duration", 0, "How long certificates of nodes are valid (ns|us|ms|s|m|h) (default 2160h0m0s)"),
        ("detach", "d", "bool", False, "Don't wait until all nodes have the new root"),
        ("external-ca", "", "external-ca", (), "Address of an external authority that signs certificates"),
        ("quiet", "q", "bool", False, "Show no progress"),
        ("rotate", "", "bool", False, "Rotate the root: a new one is made where none is given"),
    ),
    run,
    0,
    0,
)
