"""A run: its directory, its configuration, and how both may grow."""
