from scow.daemon.options import Options
from scow.daemon.reload import ignored, merged


def test_only_some_options_are_taken():
    current, fresh = Options(mtu=1400), Options(mtu=1300, debug=True, labels=("a=b",))
    new = merged(current, fresh)
    assert (new.mtu, new.debug, new.labels) == (1400, True, ("a=b",))
    assert ignored(current, fresh) == ["mtu"]
    assert ignored(current, current) == []
