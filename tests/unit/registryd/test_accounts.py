"""Users, grants and tokens in a catalog of their own."""

import pytest

from scow.errors import Conflict, InvalidArgument, NotFound, ScowError
from scow.registryd.accounts import Accounts, parse_grant, verify
from scow.registryd.database import Database


@pytest.fixture
def accounts(tmp_path):
    db = Database(tmp_path / "catalog.db")
    yield Accounts(db)
    db.close()


def test_users_come_change_and_go(accounts):
    assert not accounts.any()
    accounts.add("ann", "secret", [parse_grant("team/**:push,pull")])
    assert accounts.any() and verify("secret", accounts.password("ann")) and not verify("other", accounts.password("ann"))
    assert [str(one) for one in accounts.grants("ann")] == ["team/**:pull,push"]
    accounts.grant("ann", [parse_grant("team/**:*"), parse_grant("lib/*")])
    accounts.revoke("ann", "lib/*")
    assert [(name, [str(one) for one in grants], count) for name, grants, count in accounts.users()] == [
        ("ann", ["team/**:pull,push,delete"], 0)
    ]
    accounts.change_password("ann", "new")
    assert verify("new", accounts.password("ann"))
    accounts.create_token("ann", [], 0)
    accounts.remove("ann")
    assert accounts.password("ann") == "" and accounts.grants("ann") == () and accounts.tokens() == []


def test_what_is_refused(accounts):
    accounts.add("ann", "secret", [])
    for work, error in (
        (lambda: accounts.add("ann", "x", []), Conflict),
        (lambda: accounts.add("a:b", "x", []), InvalidArgument),
        (lambda: accounts.add("bob", "", []), InvalidArgument),
        (lambda: accounts.add("bob", "x" * 73, []), InvalidArgument),
        (lambda: accounts.grant("eve", []), NotFound),
        (lambda: accounts.revoke("ann", "none"), NotFound),
        (lambda: accounts.remove("eve"), NotFound),
        (lambda: accounts.change_password("eve", "x"), NotFound),
        (lambda: accounts.create_token("eve", [], 0), NotFound),
        (lambda: accounts.remove_token("none"), NotFound),
    ):
        with pytest.raises(error):
            work()


@pytest.mark.parametrize("text", ["", ":pull", "a:fly", "a b:pull", "*" * 20])
def test_grants_that_are_none(text):
    with pytest.raises(ScowError):
        parse_grant(text)


def test_secrets_are_not_stored(accounts, tmp_path):
    accounts.add("ann", "in the clear", [])
    _, secret = accounts.create_token("ann", [parse_grant("a:pull")], 60)
    token = accounts.token(secret)
    assert token is not None and (token.user, [str(one) for one in token.grants]) == ("ann", ["a:pull"])
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"in the clear" not in stored and secret.encode() not in stored
