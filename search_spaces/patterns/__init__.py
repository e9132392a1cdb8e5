"""Torch-free declarations of sparsity patterns: what remains of neighbouring weights, and what
stored positions take.

One file per pattern; `_base.py` is the contract.
"""
