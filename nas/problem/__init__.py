"""What is searched for: objectives, limits, trials, and what is better than what."""
