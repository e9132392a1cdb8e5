"""Controllers compared on tables of measured networks."""
