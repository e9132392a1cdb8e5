"""Training methods: which members of the supernet a step trains, and on what.

One file per method; `_base.py` is the contract.
"""
