"""Networks trained alone, and several of them beside each other."""
