"""Load balancing of a swarm's services: virtual addresses inside sandboxes, published ports on every host. nft does it, no IPVS."""
