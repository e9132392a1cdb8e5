"""Measuring for its own sake, for `nas profile`: files against each other, and latency profiles."""
