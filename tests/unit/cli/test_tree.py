from scow.cli.commands.image.tree import tree


def test_platforms_stand_below_their_image() -> None:
    def manifest(arch: str, available: bool, containers: list[str]) -> dict:
        data = {"Platform": {"os": "linux", "architecture": arch}, "Containers": containers}
        return {
            "Kind": "image",
            "ID": "sha256:" + arch[0] * 64,
            "Available": available,
            "Size": {"Total": 2000, "Content": 900},
            "ImageData": data,
        }

    images = [
        {
            "Id": "sha256:" + "1" * 64,
            "RepoTags": ["a:1", "b:1"],
            "Size": 1100,
            "Manifests": [manifest("amd64", True, ["c"]), manifest("riscv64", False, []), {"Kind": "attestation"}],
        },
        {"Id": "sha256:" + "2" * 64, "RepoTags": None, "Size": 3, "Manifests": []},
    ]
    assert tree(images).splitlines()[2:] == [
        "IMAGE                  ID             DISK USAGE   CONTENT SIZE   EXTRA",
        "a:1",
        "b:1                    111111111111        1.1kB          1.8kB    U   ",
        "├─ linux/amd64         aaaaaaaaaaaa          2kB           900B    U   ",
        "└─ linux/riscv64       rrrrrrrrrrrr           0B             0B        ",
        "",
        "<untagged>             222222222222           3B             0B        ",
    ]
