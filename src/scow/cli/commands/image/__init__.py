"""The commands of `scow image`."""
