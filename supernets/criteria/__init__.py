"""Which channels and heads pruning keeps: one file per criterion; `_base.py` is the contract."""
