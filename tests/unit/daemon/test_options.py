import dataclasses

import pytest

from scow.daemon.options import Options, table


def test_names_are_unique_and_every_field_has_one():
    rows = table()
    assert len(rows) == len(dataclasses.fields(Options))
    for name in ("attribute", "flag", "key"):
        values = [getattr(row, name) for row in rows if getattr(row, name) != "-"]
        assert len(values) == len(set(values)), name
    shorts = [row.short for row in rows if row.short]
    assert len(shorts) == len(set(shorts))


def test_defaults():
    options = Options()
    assert (options.data_root, options.exec_root, options.config_file) == ("/var/lib/scow", "/run/scow", "/etc/scow/scow.json")
    assert (options.live_restore, options.default_runtime, options.log_driver) == (True, "crun", "json-file")
    assert str(options.paths.run) == "/run/scow"
    assert Options(debug=True).level == "debug"
    assert Options(log_level="warn").level == "warn"
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.debug = True  # type: ignore[misc]
    assert Options().features is not options.features
