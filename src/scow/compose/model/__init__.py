"""The model of a compose project: every attribute of the compose specification in its long form, after interpolation and merging.

Attributes are named as in the files. Fields stand in the order in which the compose plugin writes them into its hash of a service
(`hash.py`); `codec.py` reads and writes the classes by their annotations, whose words are in `kinds.py`. Made by `load/loader.py`, read by
everyone else in `compose/`.
"""
