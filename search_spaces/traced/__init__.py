"""Networks that were traced: their parts as data, and what those cost."""
