"""Docker's nouns as requests carry them, at the newest API version: frozen dataclasses without behaviour, and their codec."""
