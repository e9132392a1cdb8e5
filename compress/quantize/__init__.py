"""Integer formats: one file per named precision."""
