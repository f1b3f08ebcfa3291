"""Commands that talk to registries."""
