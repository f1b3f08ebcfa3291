"""Challenges and the token flow against the registry in memory."""

import pytest

from scow.errors import ScowError
from scow.reference import Reference
from scow.registry import fetcher
from scow.registry.auth import Login, challenges, scope
from scow.registry.client import Registry
from scow.registry.credentials import Credentials
from scow.registry.errors import RegistryError
from scow.registry.resolver import Endpoint
from scow.registry.settings import Settings
from tests.fakes.registry import FakeRegistry
from tests.support.asynchronous import on_loop

USER = Credentials("moby", "pass:word")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (
            'Bearer realm="https://a/token",service="s",scope="repository:x:pull,push"',
            [("bearer", {"realm": "https://a/token", "service": "s"})],
        ),
        ('Basic realm="a \\"quoted\\" one"', [("basic", {"realm": 'a "quoted" one'})]),
        ('Basic realm="x", Bearer realm="https://t"', [("basic", {"realm": "x"}), ("bearer", {"realm": "https://t"})]),
        ("Negotiate", [("negotiate", {})]),
        ("", []),
        ('=,="', []),
    ],
)
def test_challenges(value: str, found: list[tuple[str, dict[str, str]]]) -> None:
    got = challenges([value])
    assert [one.scheme for one in got] == [scheme for scheme, _ in found]
    for one, (_, parameters) in zip(got, found, strict=True):
        assert parameters.items() <= one.parameters.items()


@pytest.mark.parametrize(
    ("base", "verify", "realm", "sent"),
    [
        ("https://r.example", True, "https://auth.other/token", True),
        ("https://r.example", True, "http://r.example/token", False),
        ("https://r.example", True, "http://evil/token", False),
        ("https://r.example", False, "https://evil/token", False),
        ("http://r.example", True, "https://evil/token", False),
        ("http://r.example", True, "http://r.example:8080/token", True),
        ("http://127.0.0.1:5000", True, "http://127.0.0.1:5001/token", True),
    ],
)
def test_a_password_goes_only_where_nobody_can_have_forged_the_way(base: str, verify: bool, realm: str, sent: bool) -> None:
    assert Login(Endpoint(base, verify), USER)._may_send(realm) is sent


async def _pull(registry: FakeRegistry, who: Credentials) -> str:
    client = Registry(Settings())
    try:
        reference = Reference.parse(f"{registry.address}/x:1")
        return (await fetcher.manifest(client.repository(reference, who), "1")).digest
    finally:
        await client.close()


@on_loop
async def test_token_flow_asks_for_what_is_needed() -> None:
    async with FakeRegistry({"moby": "pass:word"}, tokens=True) as registry:
        digest = registry.put_image("x", "1", b"{}", [])
        assert await _pull(registry, USER) == digest
        assert registry.scopes == [scope("x", "pull")]
        assert await _pull(registry, Credentials(identity_token="identity")) == digest
        assert registry.scopes[-1] == scope("x", "pull")
        assert "Basic" not in "".join(
            one for path, one in zip(registry.asked, registry.authorizations, strict=True) if "/token" not in path
        )


@on_loop
async def test_basic_only_after_a_challenge_and_refusals_in_words() -> None:
    async with FakeRegistry({"moby": "pass:word"}) as registry:
        registry.put_image("x", "1", b"{}", [])
        await _pull(registry, USER)
        assert registry.authorizations[0] == ""
        assert registry.authorizations[-1].startswith("Basic ")
        with pytest.raises(RegistryError, match="no basic auth credentials"):
            await _pull(registry, Credentials())
        before = len(registry.asked)
        with pytest.raises(RegistryError, match="unauthorized: authentication required"):
            await _pull(registry, Credentials("moby", "wrong"))
        assert len(registry.asked) - before <= 4, "a refused password is not tried for ever"


@on_loop
async def test_a_realm_elsewhere_gets_no_password_from_plain_http() -> None:
    async with FakeRegistry({"moby": "pass:word"}, tokens=True) as registry:
        registry.put_image("x", "1", b"{}", [])
        registry.realm = "http://user:pw@127.0.0.1/token"
        with pytest.raises(ScowError, match="invalid token auth challenge realm"):
            await _pull(registry, USER)


@on_loop
async def test_login_gives_an_identity_token_or_says_why_not() -> None:
    async with FakeRegistry({"moby": "pass:word"}, tokens=True) as registry:
        client = Registry(Settings())
        try:
            assert await client.authenticate(USER, registry.address) == "identity"
            with pytest.raises(RegistryError, match="incorrect username or password"):
                await client.authenticate(Credentials("moby", "no"), registry.address)
        finally:
            await client.close()
