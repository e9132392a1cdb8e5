"""Training methods: what a batch teaches which members of the supernet.

One file per method; `_base.py` is the contract, `_lessons.py` helps those that plan members.
"""
