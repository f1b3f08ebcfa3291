"""Where results of builds go: images of this engine, registries, archives, a client's disk, caches for other machines.

`export.py` is the door (one call an output, by the client's order). Being written by the doors' side (build7c): export.py, image.py, files.py
(local, tar); by the solver's side (build7b): oci.py (oci, docker archives), cache.py (inline, registry, local).
"""
