"""Sockets to listen on by TCP. Called by `daemon/listeners.py` and `registryd/serve.py`, which say what they do with errors."""

import socket


def bound(host: str | None, port: int) -> list[socket.socket]:
    """A bound socket, not blocking, for each address of the host; None stands for all. Raises OSError; then none is left open."""
    out: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, proto, _, address in found:
            sock = socket.socket(family, kind, proto)
            out.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.setblocking(False)
    except OSError:
        for sock in out:
            sock.close()
        raise
    return out
