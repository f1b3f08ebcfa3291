"""1.39: /info tells the product and warnings; build cache in /system/df."""

from scow.api.versions._tools import without

DOWN = {"info": without("ProductLicense", "Warnings")}
