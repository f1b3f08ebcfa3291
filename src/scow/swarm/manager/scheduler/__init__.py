"""Choosing nodes: filters say where a task may run, preferences and ranking where it should."""
