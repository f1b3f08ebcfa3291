"""One module for each command family of the group."""
