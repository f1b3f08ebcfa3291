"""The build graph as data: what is to be done, content-addressed, without knowing how. Pure; nothing stored."""
