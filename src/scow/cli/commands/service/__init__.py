"""`scow service`."""
