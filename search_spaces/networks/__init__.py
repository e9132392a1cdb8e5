"""Kinds of networks: which slots there are, what fills them, and which feeds which."""
