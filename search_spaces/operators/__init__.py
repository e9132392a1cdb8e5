"""Torch-free declarations of operators: options, canonical form, costs, prunable groups.

One file per operator; `_base.py` is the contract.
"""
