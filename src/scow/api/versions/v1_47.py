"""1.47: manifests in the image list."""

from scow.api.versions._tools import without

DOWN = {"image.list": without("Manifests")}
