import json

from scow.api.wire import dumps


def test_line_end_and_plain_html():
    assert dumps({"a": "<&>"}) == b'{"a":"<&>"}\n'


def test_what_the_fast_encoder_refuses():
    assert json.loads(dumps({"big": 1 << 70})) == {"big": 1 << 70}
    assert json.loads(dumps({"name": "\udcff"})) == {"name": "\udcff"}
    assert dumps({1: "a"}) == b'{"1":"a"}\n'
