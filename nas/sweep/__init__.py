"""Many searches: spaces, budgets, targets and seeds on a Ray cluster."""
