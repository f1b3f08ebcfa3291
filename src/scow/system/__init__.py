"""The engine as a whole: its names and version, what `info` and `df` say. Stores nothing."""
