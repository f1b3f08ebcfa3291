"""What a step is known by."""

from scow.build.classic.cache import key


def test_a_step_is_known_by_parent_configuration_and_text() -> None:
    one = key("sha256:a", {"Env": ["A=1"], "User": "u"}, "RUN x")
    assert one == key("sha256:a", {"User": "u", "Env": ["A=1"]}, "RUN x")
    assert (
        len({one, key("sha256:b", {"Env": ["A=1"], "User": "u"}, "RUN x"), key("sha256:a", {}, "RUN x"), key("sha256:a", {}, "RUN y")}) == 4
    )
