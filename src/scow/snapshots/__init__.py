"""Trees of layers: a row in the table `snapshots` and a directory `<data>/snapshots/<n>/` each. Called by images."""

from scow.snapshots.snapshotter import Change, Committed, Snapshotter

__all__ = ["Change", "Committed", "Snapshotter"]
