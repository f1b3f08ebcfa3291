"""Tables and templates: what commands print."""
