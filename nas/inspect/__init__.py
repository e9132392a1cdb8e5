"""What a space is: described, and checked."""
