"""Finalists of a search: in which order, and trained further how."""
