from scow.system.storage import rows


def test_the_rows_add_up_to_the_disk() -> None:
    blocks = {
        "": 10_000,
        "content": 3000,
        "content/blobs": 2000,
        "content/partial": 900,
        "containers": 500,
        "meta.db": 64,
        "meta.db-wal": 36,
    }
    usage = {
        "LayersSize": 4000,
        "Containers": [{"SizeRw": 100}, {}],
        "Volumes": [{"Driver": "local", "UsageData": {"Size": 50}}, {"Driver": "nfs", "UsageData": {"Size": 7}}, {"Driver": "local"}],
        "BuildCache": [{"Size": 30}, {"Size": 1000, "Shared": True}],
    }
    found = rows(blocks, usage)
    assert sum(row["Size"] for row in found) == 10_000
    sizes = {row["Name"]: (row["Size"], row["Reclaimable"]) for row in found}
    assert sizes["Downloads kept to go on"] == (900, 900)
    assert sizes["Blobs and manifests"] == (2000, 0)
    assert sizes["Database"] == (100, 0)
    assert sizes["Rounding and directories"][0] == 10_000 - 4000 - 100 - 50 - 30 - 2000 - 900 - 500 - 100
