"""`scow compose`: applications in YAML files, on any Docker-compatible engine. A client and nothing else:
nothing is stored but labels on what it creates. `docs/design/compose.md` draws the borders; `cli/` calls `commands/`, `swarm`'s stack
commands use `load/`."""
