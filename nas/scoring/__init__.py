"""What a candidate with shared weights is worth."""
