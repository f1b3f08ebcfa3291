"""The commands of `scow container`."""
