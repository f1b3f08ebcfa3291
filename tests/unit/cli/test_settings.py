import pytest

from scow.cli.settings import usable


@pytest.mark.parametrize(
    ("config", "left", "wrong"),
    [
        (None, {}, ""),
        ([], {}, "it must be an object, it is an array"),
        (5, {}, "it must be an object, it is a number"),
        ({"psFormat": 7, "other": 7}, {"other": 7}, "psFormat must be a string, it is a number"),
        ({"proxies": "x"}, {}, "proxies must be an object, it is a string"),
        ({"proxies": {"default": 7}}, {}, "proxies['default'] must be an object, it is a number"),
        ({"HttpHeaders": {"A": True}}, {}, "HttpHeaders['A'] must be a string, it is a boolean"),
        ({"cliPluginsExtraDirs": ["/a", {}]}, {}, "cliPluginsExtraDirs[1] must be a string, it is an object"),
        ({"auths": {"a": {}}, "detachKeys": None}, {"auths": {"a": {}}, "detachKeys": None}, ""),
    ],
)
def test_keys_of_a_wrong_type_are_named_and_left_out(config, left, wrong):
    assert usable(config) == (left, wrong)
