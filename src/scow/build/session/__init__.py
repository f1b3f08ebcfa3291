"""BuildKit's wire: `/grpc` (the daemon serves) and `/session` (the daemon calls). Imported when the first client asks for it, not before.

`http2.py` and `rpc.py` are the transport, `messages.py` the messages; `registry.py` keeps sessions, `filesync.py` and `filesend.py`
move files, `control.py` and `bridge.py` are the services that buildx uses, `progress.py` and `status.py` translate what the solver says.
"""
