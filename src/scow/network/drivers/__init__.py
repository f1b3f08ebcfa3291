"""Network drivers by name."""
