"""The commands of `scow system`."""
