"""Where results of builds go: images of this engine, registries, archives, a client's disk, caches for other machines.

`export.py` is the door (every output by the client's order); `chain.py` makes layers and configs, `manifests.py` manifests, indexes and
attestations; `image.py`, `archive.py` (oci, docker) and `files.py` (local, tar) are the outputs, `cache.py` the caches.
"""
