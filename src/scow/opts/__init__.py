"""Grammars of flags and of the strings in requests, shared by daemon and client."""
