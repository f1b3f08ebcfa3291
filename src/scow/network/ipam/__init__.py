"""Address management: pools of subnets and the addresses of each network; state is rebuilt from the stored rows at boot."""
