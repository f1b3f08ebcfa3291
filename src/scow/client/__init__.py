"""The Engine API as a client: synchronous, standard library only, quick to start. Nothing is stored. Used by `cli`."""
