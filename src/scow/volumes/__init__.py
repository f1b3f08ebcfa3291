"""Volumes and mounts of containers: rows in the table `volumes`, files in volumes/<name>/_data."""
