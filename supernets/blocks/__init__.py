"""Operators that bring their own channel part. One file per operator; `_fixed.py` has the rest."""
