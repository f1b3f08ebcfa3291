"""Base images out of the distribution's own packages, without any registry: `scow image bootstrap`. Client side; nothing is stored
but temporary files.

`apt` asks the host's package manager (its sources, its proxies, its keys; no address is written in this code), `busybox` and `debian`
make a root filesystem, `layer` lays it down as a tar that is the same for the same packages, `archive` wraps it as an image for
`POST /images/load`: made here and not by the engine, so that the image's id is the same everywhere, too.
"""
