"""Torch-free declarations of formats: bits, bytes in a file, what a target must have.

One file per format; `_base.py` is the contract.
"""
