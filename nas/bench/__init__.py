"""Controllers compared on tables of measured networks, and operators in one trunk."""
