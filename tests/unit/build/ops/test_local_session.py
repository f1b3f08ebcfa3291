"""Which session a client's directory is read from."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from scow.build.llb.ops import SourceOp
from scow.build.ops.local import Local
from scow.errors import NotFound


class Client:
    """Knows the sessions of `alive`."""

    def __init__(self, *alive: str) -> None:
        self.alive = alive

    async def shared_key(self, session: str) -> str:
        if session not in self.alive:
            raise NotFound(f"no active session for {session}")
        return f"key of {session}"


def asked(client: Any, named: str) -> tuple[str, str]:
    attrs = {"local.session": named} if named else {}
    local = Local(None, None, SourceOp("local://context", attrs))  # type: ignore[arg-type]
    return asyncio.run(local._session(client, SimpleNamespace(session="job")))  # type: ignore[arg-type]


def test_the_named_session_or_the_one_that_asks() -> None:
    assert asked(Client("job", "other"), "other") == ("other", "key of other")
    assert asked(Client("job"), "other") == ("job", "key of job")
    assert asked(Client("job"), "") == ("job", "key of job")
    with pytest.raises(NotFound):
        asked(Client("other"), "job")
