"""`scow stack`: compose files as services, networks, secrets and configs of a swarm."""
