"""Published ports: which host port leads to which container, and holding it."""
