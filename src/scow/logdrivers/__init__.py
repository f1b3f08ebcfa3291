"""Log drivers: what is done with a container's output (`plan`), and how it is read back (`reader`). The keeper does the writing.

Stored: containers/<id>/<id>-json.log (json-file), containers/<id>/local-logs/container.log (local, cache of drivers that send on).
"""
