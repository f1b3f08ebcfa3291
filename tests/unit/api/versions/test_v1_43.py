"""Images without a name were called <none>; no annotations."""

from scow.api.versions import v1_43


def test_images():
    rows = [{"RepoTags": [], "RepoDigests": []}, {"RepoTags": ["a:b"], "RepoDigests": []}]
    assert v1_43.DOWN["image.list"](rows) == [
        {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]},
        {"RepoTags": ["a:b"], "RepoDigests": []},
    ]


def test_annotations():
    assert v1_43.DOWN["container.inspect"]({"HostConfig": {"Annotations": {}}}) == {"HostConfig": {}}
    assert v1_43.UP["container.create"]({"HostConfig": {"Annotations": {"a": "b"}}}) == {"HostConfig": {}}
