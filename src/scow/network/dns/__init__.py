"""The name server of user networks at 127.0.0.11."""
