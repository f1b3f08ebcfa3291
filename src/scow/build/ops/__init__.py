"""Implementations of the solver's `Op`, one file per kind: what a vertex of a build graph does to trees."""
