"""Scow: a container engine that speaks Docker. See docs/ARCHITECTURE.md."""

__version__ = "0.1.0"
