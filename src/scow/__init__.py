"""Scow: a container engine that speaks Docker. See docs/ARCHITECTURE.md."""

