"""The commands of `scow volume`."""
