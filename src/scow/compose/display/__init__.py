"""What a user sees while operations run, and the prefixed logs of services."""
