"""Users, grants, tokens, htpasswd, the token endpoint: over the wire."""

import base64
import json
from urllib.parse import urlencode

import pytest

from scow.registryd import accounts, bearer
from scow.registryd.accounts import parse_grant
from tests.support.registryserver import image, serving, sha256

ANN, BOB = ("ann", "secret: of ann"), ("bob", "bob's")
# bcrypt of "s3cret pass:word"
HTPASSWD = "# users\nmoby:$2b$05$abcdefghijklmnopqrstuuWqE.ZbojV4lW1JhHwMXr3EQklLDUc6y\nold:{SHA}x\n"


def add_users(registry) -> None:
    users = registry.store.accounts
    users.add(ANN[0], ANN[1], [parse_grant("team/**:*"), parse_grant("lib/*")])
    users.add(BOB[0], BOB[1], [parse_grant("lib/*:pull,push")])


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("basic"), allow_delete=True) as registry:
        add_users(registry)
        yield registry


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("tokens"), public=("open/**",), allow_delete=True) as registry:
        add_users(registry)
        registry.store.accounts.grant("bob", [parse_grant("open/**:pull,push")])
        yield registry


def test_nobody_gets_in_without_a_password(basic):
    for path in ("/v2/", "/v2/_catalog", "/v2/team/a/tags/list", f"/v2/team/a/blobs/{sha256(b'')}"):
        reply = basic.call("GET", path)
        assert basic.code(reply) == (401, "UNAUTHORIZED")
        assert reply.headers["www-authenticate"] == 'Basic realm="scow registry"'
    assert basic.call("GET", "/v2/", user=ANN).status == 200


@pytest.mark.parametrize("user", [("ann", "wrong"), ("nobody", "x"), ("ann", ""), ("", ""), ("ann", "x" * 100), ("a\0b", "x\0y")])
def test_wrong_passwords(basic, user):
    assert basic.code(basic.call("GET", "/v2/", user=user)) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic " + "A" * 20000, "Digest x", "Bearer x.y.z", "Bearer scow_x", "Negotiate"])
def test_broken_credentials(basic, value):
    assert basic.code(basic.call("GET", "/v2/", headers={"Authorization": value})) == (401, "UNAUTHORIZED")


def test_grants(basic):
    basic.push("team/x/y", "v1", b"l", user=ANN)
    basic.push("lib/a", "v1", b"l", user=BOB)
    assert basic.call("GET", "/v2/lib/a/manifests/v1", user=ANN).status == 200
    assert basic.code(basic.call("POST", "/v2/lib/a/blobs/uploads/", user=ANN)) == (403, "DENIED")
    assert basic.code(basic.call("GET", "/v2/team/x/y/manifests/v1", user=BOB)) == (403, "DENIED")
    assert basic.code(basic.call("POST", "/v2/lib/a/deep/blobs/uploads/", user=BOB)) == (403, "DENIED")
    assert basic.code(basic.call("DELETE", "/v2/lib/a/manifests/v1", user=BOB)) == (403, "DENIED")
    assert basic.call("DELETE", "/v2/team/x/y/manifests/v1", user=ANN).status == 202
    assert basic.call("GET", "/v2/_catalog", user=BOB).json == {"repositories": ["lib/a"]}
    assert basic.call("GET", "/v2/_catalog", user=ANN).json == {"repositories": ["lib/a", "team/x/y"]}


def test_a_blob_is_not_mounted_from_where_one_may_not_pull(basic):
    basic.put_blob("team/secret", b"hidden", ANN)
    for source in ("&from=team/secret", ""):
        assert basic.call("POST", f"/v2/lib/b/blobs/uploads/?mount={sha256(b'hidden')}{source}", user=BOB).status == 202


def test_tokens_stand_for_a_password_and_may_be_less(basic):
    users = basic.store.accounts
    identity, secret = users.create_token("ann", [parse_grant("team/**:pull"), parse_grant("lib/*:push")], 0)
    basic.push("team/t", "v1", b"l", user=ANN)
    user = ("ann", secret)
    assert basic.call("GET", "/v2/team/t/manifests/v1", user=user).status == 200
    assert basic.call("GET", "/v2/team/t/manifests/v1", headers={"Authorization": f"Bearer {secret}"}).status == 200
    assert basic.code(basic.call("POST", "/v2/team/t/blobs/uploads/", user=user)) == (403, "DENIED")
    assert basic.code(basic.call("POST", "/v2/lib/a/blobs/uploads/", user=user)) == (403, "DENIED"), (
        "a token gives nothing its user has not"
    )
    assert basic.call("GET", "/v2/", user=("bob", secret)).status == 401
    users.remove_token(identity)
    assert basic.call("GET", "/v2/", user=user).status == 401
    _, late = users.create_token("ann", [], 1)
    with basic.store.db.update() as tx:
        tx.execute("UPDATE tokens SET expires = 1")
    assert basic.call("GET", "/v2/", user=("ann", late)).status == 401


def test_a_removed_user_is_out_at_once(basic):
    basic.store.accounts.add("eve", "eve", [parse_grant("**")])
    assert basic.call("GET", "/v2/", user=("eve", "eve")).status == 200
    basic.store.accounts.remove("eve")
    assert basic.call("GET", "/v2/", user=("eve", "eve")).status == 401


def test_an_htpasswd_file_is_read_again(tmp_path):
    path = tmp_path / "htpasswd"
    path.write_text(HTPASSWD)
    with serving(tmp_path / "r", htpasswd=path) as registry:
        moby = ("moby", "s3cret pass:word")
        registry.push("any/where", "v1", b"x", user=moby)
        assert registry.call("GET", "/v2/", user=("moby", "x")).status == 401
        assert registry.call("GET", "/v2/", user=("old", "x")).status == 401
        path.write_text("\n")
        assert registry.call("GET", "/v2/", user=moby).status == 401


def test_guessing_is_slowed_down(tmp_path, monkeypatch):
    monkeypatch.setattr(accounts, "verify", lambda *_: False)  # or the hashing is what slows it down
    with serving(tmp_path) as registry:
        registry.store.accounts.add("u", "p", [])
        codes = [registry.call("GET", "/v2/", user=("u", f"guess {at}")).status for at in range(24)]
        assert codes[0] == 401 and codes[-1] == 429


def realm(registry, reply) -> str:
    value = reply.headers["www-authenticate"]
    assert value.startswith(f'Bearer realm="http://{registry.address}/token",service="scow-registry"')
    return value


def ask(registry, *scopes: str, user=None, **more: str):
    query = urlencode([("service", "scow-registry"), *(("scope", one) for one in scopes), *more.items()])
    return registry.call("GET", f"/token?{query}", user=user)


def bearing(registry, *scopes: str, user=None) -> dict[str, str]:
    return {"Authorization": f"Bearer {ask(registry, *scopes, user=user).json['token']}"}


def test_the_token_flow(tokens):
    assert tokens.code(tokens.call("GET", "/v2/")) == (401, "UNAUTHORIZED")
    value = realm(tokens, tokens.call("POST", "/v2/lib/z/blobs/uploads/"))
    assert value.endswith(',scope="repository:lib/z:pull,push"')
    headers = bearing(tokens, "repository:lib/z:pull,push", user=BOB)
    assert tokens.call("POST", f"/v2/lib/z/blobs/uploads/?digest={sha256(b'l')}", b"l", headers).status == 201
    assert tokens.call("GET", "/v2/", headers=headers).status == 200
    reply = tokens.call("POST", "/v2/lib/other/blobs/uploads/", headers=headers)
    assert reply.status == 401 and 'error="insufficient_scope"' in realm(tokens, reply)
    less = bearing(tokens, "repository:team/q:pull,push", user=BOB)
    assert tokens.call("POST", "/v2/team/q/blobs/uploads/", headers=less).status == 401
    assert ask(tokens, "repository:lib/z:pull", user=("bob", "wrong")).status == 401


def test_everybody_pulls_what_is_public(tokens):
    for data in (b"l", b"{}"):
        headers = bearing(tokens, "repository:open/a:pull,push", user=BOB)
        assert tokens.call("POST", f"/v2/open/a/blobs/uploads/?digest={sha256(data)}", data, headers).status == 201
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json", **headers}
    assert tokens.call("PUT", "/v2/open/a/manifests/v1", image(b"l"), kind).status == 201
    anybody = bearing(tokens, "repository:open/a:pull,push")
    assert tokens.call("GET", "/v2/open/a/manifests/v1", headers=anybody).status == 200
    assert tokens.call("GET", "/v2/open/a/manifests/v1").status == 200
    assert tokens.call("POST", "/v2/open/a/blobs/uploads/", headers=anybody).status == 401


def test_oauth_and_identity_tokens(tokens):
    def form(**fields: str):
        return tokens.call("POST", "/token", urlencode({"service": "scow-registry", **fields}).encode())

    scope = "repository:lib/o:pull,push"
    first = form(grant_type="password", username="bob", password="bob's", scope=scope, access_type="offline").json
    again = form(grant_type="refresh_token", refresh_token=first["refresh_token"], scope=scope).json
    headers = {"Authorization": f"Bearer {again['access_token']}"}
    assert tokens.call("POST", "/v2/lib/o/blobs/uploads/", headers=headers).status == 202
    assert "refresh_token" in ask(tokens, scope, user=BOB, offline_token="true").json
    assert tokens.code(form(grant_type="password", username="bob", password="x")) == (401, "UNAUTHORIZED")
    assert form(grant_type="magic").status == 400
    assert form(grant_type="refresh_token", refresh_token=again["access_token"]).status == 401, "an access token is none"
    assert tokens.call("GET", "/v2/", headers={"Authorization": f"Bearer {first['refresh_token']}"}).status == 401, "nor the other way"
    tokens.store.accounts.change_password("bob", BOB[1])
    assert form(grant_type="refresh_token", refresh_token=first["refresh_token"]).status == 401, "another password ends them"


def test_forged_tokens(tokens):
    good = ask(tokens, "repository:lib/z:pull", user=BOB).json["token"]
    head, body, mark = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["access"] = [{"type": "repository", "name": "team/x", "actions": ["push"]}]
    other = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    key = tokens.store.accounts.key()
    old = bearer.sign(key, {**claims, "aud": "scow-registry"}, -10)
    foreign = bearer.sign(b"another key", claims, 100)
    for token in (
        f"{head}.{other}.{mark}",
        f"{none}.{other}.",
        f"{none}.{other}.{mark}",
        f"{head}.{body}",
        "a.b.c.d",
        old,
        foreign,
        good[:-2],
    ):
        assert tokens.call("GET", "/v2/", headers={"Authorization": f"Bearer {token}"}).status == 401, token


def test_what_was_closed_stays_closed(tmp_path):
    """Neither the end of the last user nor a list of what is public opens the rest."""
    with serving(tmp_path / "a", anonymous_push=False) as registry:
        assert registry.call("GET", "/v2/").status == 200
        registry.store.accounts.add("ann", "password", [])
        registry.store.accounts.remove("ann")
        assert registry.call("GET", "/v2/").status == 401
        assert registry.call("GET", "/v2/a/tags/list").status == 401
    with serving(tmp_path / "b", public=("open/**",)) as registry:
        assert registry.call("GET", "/v2/closed/tags/list").status == 401
        assert registry.call("GET", "/v2/open/a/tags/list").status == 404
