"""Torch-free declarations of tasks: what networks answer, how good answers are, what chance gives.

One file per task; `_base.py` is the contract.
"""
