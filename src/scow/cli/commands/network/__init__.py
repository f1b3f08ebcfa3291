"""The commands of `scow network`."""
