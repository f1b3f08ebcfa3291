import pytest

from scow.api.router import Router


def handler(call):
    return None


@pytest.fixture
def router() -> Router:
    router = Router()
    for method, pattern in (
        ("GET", "/containers/json"),
        ("GET", "/containers/{id}/json"),
        ("POST", "/containers/{id}/stop"),
        ("GET", "/images/{name:path}/json"),
        ("DELETE", "/images/{name:path}"),
        ("GET", "/images/json"),
    ):
        router.add(method, pattern, handler)
    return router


@pytest.mark.parametrize(
    ("method", "path", "pattern", "values"),
    [
        ("GET", "/containers/json", "/containers/json", {}),
        ("GET", "/containers/a%2Fb/json", "/containers/{id}/json", {"id": "a/b"}),
        ("GET", "/containers/json/json", "/containers/{id}/json", {"id": "json"}),
        ("GET", "/images/json", "/images/json", {}),
        ("GET", "/images/reg:5000/a/b:c/json", "/images/{name:path}/json", {"name": "reg:5000/a/b:c"}),
        ("GET", "/images/json/json", "/images/{name:path}/json", {"name": "json"}),
        ("DELETE", "/images/a/json", "/images/{name:path}", {"name": "a/json"}),
    ],
)
def test_found(router, method, path, pattern, values):
    route, found = router.find(method, path)
    assert (route.pattern, found) == (pattern, values)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/json"),
        ("GET", "/containers//json"),
        ("GET", "/containers"),
        ("GET", "/images//json"),
        ("DELETE", "/images/"),
        ("GET", "/"),
        ("GET", "*"),
    ],
)
def test_not_found(router, method, path):
    assert router.find(method, path) is None


def test_a_later_route_replaces_and_follow_means_cancel(router):
    router.add("GET", "/containers/json", handler, follow=True)
    route, _ = router.find("GET", "/containers/json")
    assert route.cancel
    assert len(router.routes) == 7
