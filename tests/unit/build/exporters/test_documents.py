"""Configs, histories, annotations and provenance: what exporters write, without an engine."""

from typing import Any

import pytest

from scow.build.exporters import chain, manifests
from scow.build.exporters.image import names, truth
from scow.build.exporters.results import Target
from scow.build.session.builds import Answer
from scow.build.session.legacy import LegacyRequest, solve_request
from scow.errors import InvalidArgument, Unsupported
from scow.snapshots.snapshotter import Committed


def layer(number: int) -> Committed:
    name = f"sha256:{number:064x}"
    return Committed(name, "", name, 1, 1, name, "")


def target(attests: dict[str, str] | None = None, **metadata: bytes) -> Target:
    return Target(None, Answer({"": None}, {key.replace("_", "."): value for key, value in metadata.items()}), attests or {})  # type: ignore[arg-type]


def test_a_config_gets_its_layers_and_times() -> None:
    rows = [{"created_by": "base", "created": "2020-01-01T00:00:00Z"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "RUN"}]
    spec = chain.document({"os": "linux", "config": {}, "history": rows}, [layer(1), layer(2)], [0, 1_600_000_000_000_000_000], None)
    assert spec["rootfs"]["diff_ids"] == [layer(1).diff_id, layer(2).diff_id]
    assert [row.get("created") for row in spec["history"]] == ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2020-09-13T12:26:40Z"]
    assert spec["created"] == "2020-09-13T12:26:40Z" and rows[2] == {"created_by": "RUN"}


def test_rows_and_layers_are_made_to_fit() -> None:
    few = chain.document({"history": [{"created_by": "RUN"}]}, [], [], None)
    assert few["history"] == [{"created_by": "RUN", "empty_layer": True}] and "created" not in few
    many = chain.document({"history": []}, [layer(1)], [0], 5)
    assert len(many["history"]) == 1 and many["created"] == "1970-01-01T00:00:05Z"
    assert chain.document(None, [], [], None)["config"]["WorkingDir"] == "/"


@pytest.mark.parametrize("given", [[], {"config": 5}])
def test_a_broken_config_is_refused(given: Any) -> None:
    with pytest.raises(InvalidArgument):
        chain.document(given, [], [], None)


def test_a_frontend_s_config_is_checked() -> None:
    assert target(containerimage_config=b'{"os": "linux"}').config("") == {"os": "linux"}
    with pytest.raises(InvalidArgument):
        target(containerimage_config=b"[]").config("")
    with pytest.raises(InvalidArgument, match="SOURCE_DATE_EPOCH"):
        _ = target(source_date_epoch=b"x").epoch


def test_names_of_an_image() -> None:
    assert [one.full() for one in names({"name": "a, b:2"})] == ["docker.io/library/a:latest", "docker.io/library/b:2"]
    with pytest.raises(InvalidArgument):
        names({"name": "a@sha256:" + "0" * 64})
    assert truth({"push": "true"}, "push") and not truth({}, "push")
    with pytest.raises(InvalidArgument):
        truth({"push": "maybe"}, "push")


def test_provenance_only_when_it_was_asked_for() -> None:
    assert manifests.provenance(target({"provenance": "mode=min,inline-only=true"})) is None
    assert manifests.provenance(target({"provenance": "mode=max"})) == {"mode": "max"}
    assert manifests.provenance(target({"provenance": "disabled=true", "sbom": "disabled=true"})) is None
    with pytest.raises(Unsupported, match="sbom"):
        manifests.provenance(target({"sbom": ""}))


def test_annotations_go_where_they_are_meant_to() -> None:
    found = manifests.annotations(
        {"annotation.a": "1", "annotation-index.b.c": "2", "annotation-manifest[linux/arm64].d": "3", "name": "x"}
    )
    assert found == {"manifest": {"a": "1"}, "index": {"b.c": "2"}, "manifest[linux/arm64]": {"d": "3"}}


def test_the_old_endpoint_s_parameters() -> None:
    asked = LegacyRequest(
        "sess",
        "id",
        "client-session",
        "Other",
        ["a:1", "b:1"],
        {"A": "1", "UNSET": None, "BUILDKIT_INLINE_CACHE": "1"},
        {"l": "v"},
        ["cache:1"],
        target="t",
        no_cache=True,
        extra_hosts=["h:1.2.3.4"],
    )
    made = solve_request(asked)
    assert made.Ref == "id" and made.FrontendAttrs["build-arg:A"] == "1" and "build-arg:UNSET" not in made.FrontendAttrs
    assert made.FrontendAttrs["add-hosts"] == "h=1.2.3.4" and made.FrontendAttrs["filename"] == "Other" and "no-cache" in made.FrontendAttrs
    assert (
        made.Exporters[0].Attrs["name"] == "a:1,b:1"
        and made.Cache.Exports[0].Type == "inline"
        and made.Cache.Imports[0].Attrs["ref"] == "cache:1"
    )
    for broken in (LegacyRequest(""), LegacyRequest("s"), LegacyRequest("s", remote="client-session", outputs=[{"Type": "nope"}])):
        with pytest.raises((InvalidArgument, Unsupported)):
            solve_request(broken)
