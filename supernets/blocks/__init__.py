"""Operators that bring their own channel part. One file per operator."""
