"""`scow build` and what belongs to it."""
