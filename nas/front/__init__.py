"""The front: files made, timed and verified; who is on it."""
