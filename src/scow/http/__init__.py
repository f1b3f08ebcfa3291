"""The engine's own HTTP/1.1 server: small, bounded everywhere, able to hand a connection over as a plain socket.

Stores nothing. `api` builds on it; `daemon.listeners` opens its sockets. `head` parses request heads, `body` request bodies, `connection`
is the protocol object of one client, `hijack` and `websocket` hand connections over, `tls` wraps a connection.
"""
