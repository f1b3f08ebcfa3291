"""1.46: /info tells about containerd."""

from scow.api.versions._tools import without

DOWN = {"info": without("Containerd")}
