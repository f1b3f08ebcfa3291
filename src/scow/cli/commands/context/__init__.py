"""The commands of `scow context`."""
