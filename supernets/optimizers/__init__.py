"""Optimizers of weights. One file each; `_base.py` is the contract."""
