"""`scow swarm`, `scow node`, `scow secret`, `scow config`."""
